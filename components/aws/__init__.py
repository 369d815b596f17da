"""Chapters of staging and prod: what runs on AWS."""

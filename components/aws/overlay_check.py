"""Runs in a task on every node: is every other heard? It knows nothing but Python, and is given as text.

    python3 -c <this> tasks.<service> <nodes> <seconds>

Each listens, and asks all that the name resolves to. Who has heard all answers `heard`, and goes when all others say so
or have gone after they said it: none leaves while another still needs it.
"""

import socket
import sys
import threading
import time
from typing import Final

PORT: Final = 7000


def answer(server: socket.socket, heard: threading.Event) -> None:
    """Tell everybody who asks whether all were heard."""
    while True:
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"heard" if heard.is_set() else b"here")


def ask(address: str) -> bytes:
    """What a peer says; empty when it says nothing."""
    try:
        with socket.create_connection((address, PORT), 2) as peer:
            return peer.recv(16)
    except OSError:
        return b""


def main(name: str, nodes: int, seconds: float) -> int:
    """Exit code 0 when every node was heard, and has heard."""
    heard, done = threading.Event(), set[str]()
    server = socket.create_server(("", PORT))
    threading.Thread(target=answer, args=(server, heard), daemon=True).start()
    end = time.monotonic() + seconds
    addresses: set[str] = set()
    while time.monotonic() < end:
        try:
            addresses |= {str(found[4][0]) for found in socket.getaddrinfo(name, PORT, socket.AF_INET)}
        except OSError:
            time.sleep(0.2)
            continue
        said = {address: ask(address) for address in addresses - done}
        done |= {address for address, word in said.items() if word == b"heard"}
        if len(addresses) >= nodes and all(said.values()):
            heard.set()
        if heard.is_set() and addresses == done:
            time.sleep(3)
            return 0
        time.sleep(0.2)
    deaf = sorted(addresses - done)
    print(f"of {nodes} nodes {len(addresses)} are known, nothing is heard of {', '.join(deaf) or 'the rest'}")  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))

#!/bin/sh
# The shell baseline's claims: shell_claims.sh COPY_OF_coordination_helper.sh CLAIMERS SECONDS
# Prints how many attempts were made, and how many claims are in its file at the end. So many claimers, each one claim
# after the other, with the system's Python first on PATH, in a folder of the copy's own.
set -eu
script=$1 claimers=$2 seconds=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export COORDINATION_DIR="$folder" PATH="/usr/bin:/bin:$PATH"
end=$(($(date +%s) + seconds))

claim_until_the_end() {
  attempts=0
  while [ "$(date +%s)" -lt "$end" ]; do
    AGENT_ID="agent_$1" bash "$script" claim bench "claimer $1, attempt $attempts" medium bench >>"$folder/out.$1" 2>&1 || true
    attempts=$((attempts + 1))
  done
  echo "$attempts" >"$folder/attempts.$1"
}

number=0
while [ "$number" -lt "$claimers" ]; do
  claim_until_the_end "$number" &
  number=$((number + 1))
done
wait
made=$(cat "$folder"/attempts.* | awk '{ sum += $1 } END { print sum }')
claimed=$(cat "$folder"/out.* | grep -c SUCCESS || true)
echo "$made $claimed"

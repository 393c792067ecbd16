#!/usr/bin/env bash
# Says what a new user can post to the quickstart.
cat <<'TEXT'
Portcullis is about to listen on http://127.0.0.1:8080. In another terminal, post an alert:

  curl -i --json @examples/alert.json http://127.0.0.1:8080/api/v1/signals/alertmanager

201 the first time, 202 for the repeat; the delivery is a line in var/signals.jsonl. Ctrl-C stops everything.

TEXT

"""This package keeps what is no fold over the log, in schema ``backtape_control``: API keys, sessions, submissions, audits."""

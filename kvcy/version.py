"""kvcy's own version, and the release of Redis that it follows: what INFO, HELLO and LOLWUT call redis_version."""

VERSION = "0.1.0"
REDIS_VERSION = "7.2.4"

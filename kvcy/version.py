"""The release of Redis that kvcy follows: what INFO, HELLO and LOLWUT call redis_version."""

REDIS_VERSION = "7.2.4"

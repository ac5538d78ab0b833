"""The names of Redis 7.2's options that kvcy does not have: a configuration written for Redis starts kvcy.

NOT_YET are options whose effect kvcy lacks; they are named in one warning at the start. Those in NOT_YET_SAFEGUARDS
protect something, so each is warned of by itself. WITHOUT_EFFECT tune what kvcy does in another way and are
passed over. ALIASES are older names of options.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALIASES = {
    "slave-lazy-flush": "replica-lazy-flush",
    "slave-announce-ip": "replica-announce-ip",
    "slave-announce-port": "replica-announce-port",
    "slave-ignore-maxmemory": "replica-ignore-maxmemory",
    "slave-priority": "replica-priority",
    "slave-read-only": "replica-read-only",
    "slave-serve-stale-data": "replica-serve-stale-data",
    "slaveof": "replicaof",
    "min-slaves-max-lag": "min-replicas-max-lag",
    "min-slaves-to-write": "min-replicas-to-write",
    "repl-ping-slave-period": "repl-ping-replica-period",
    "cluster-slave-no-failover": "cluster-replica-no-failover",
    "cluster-slave-validity-factor": "cluster-replica-validity-factor",
    "hash-max-ziplist-entries": "hash-max-listpack-entries",
    "hash-max-ziplist-value": "hash-max-listpack-value",
    "list-max-ziplist-size": "list-max-listpack-size",
    "zset-max-ziplist-entries": "zset-max-listpack-entries",
    "zset-max-ziplist-value": "zset-max-listpack-value",
    "lua-time-limit": "busy-reply-threshold",
    "server_cpulist": "server-cpulist",
    "bio_cpulist": "bio-cpulist",
    "aof_rewrite_cpulist": "aof-rewrite-cpulist",
    "bgsave_cpulist": "bgsave-cpulist",
}

NOT_YET_SAFEGUARDS = _names("""
    acl-pubsub-default aclfile rename-command user
    tls-auth-clients tls-ca-cert-dir tls-ca-cert-file tls-cert-file tls-ciphers tls-ciphersuites tls-client-cert-file
    tls-client-key-file tls-client-key-file-pass tls-cluster tls-dh-params-file tls-key-file tls-key-file-pass tls-port
    tls-prefer-server-ciphers tls-protocols tls-replication tls-session-cache-size tls-session-cache-timeout
    tls-session-caching
""")

NOT_YET = NOT_YET_SAFEGUARDS | _names("""
    acllog-max-len
    aof-disable-auto-gc aof-load-truncated aof-rewrite-incremental-fsync aof-timestamp-enabled aof-use-rdb-preamble
    appenddirname appendfilename dbfilename
    no-appendfsync-on-rewrite rdb-del-sync-files rdb-save-incremental-fsync rdbchecksum rdbcompression
    sanitize-dump-payload
    active-expire-effort
    masterauth masteruser min-replicas-max-lag min-replicas-to-write repl-backlog-size repl-backlog-ttl
    repl-disable-tcp-nodelay repl-diskless-load repl-diskless-sync repl-diskless-sync-delay
    repl-diskless-sync-max-replicas repl-ping-replica-period repl-timeout replica-announce-ip replica-announce-port
    replica-announced replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush replica-priority
    replica-read-only replica-serve-stale-data replicaof propagation-error-behavior
    cluster-allow-pubsubshard-when-down cluster-allow-reads-when-down cluster-allow-replica-migration
    cluster-announce-bus-port cluster-announce-hostname cluster-announce-human-nodename cluster-announce-ip
    cluster-announce-port cluster-announce-tls-port cluster-config-file cluster-enabled cluster-link-sendbuf-limit
    cluster-migration-barrier cluster-node-timeout cluster-port cluster-preferred-endpoint-type
    cluster-replica-no-failover cluster-replica-validity-factor cluster-require-full-coverage
    tracking-table-max-keys
    busy-reply-threshold enable-module-command loadmodule
    bind-source-addr oom-score-adj oom-score-adj-values shutdown-on-sigint shutdown-on-sigterm
    socket-mark-id syslog-enabled syslog-facility syslog-ident
    aof-rewrite-cpulist bgsave-cpulist bio-cpulist server-cpulist
""")

WITHOUT_EFFECT = _names("""
    active-defrag-cycle-max active-defrag-cycle-min active-defrag-ignore-bytes active-defrag-max-scan-fields
    active-defrag-threshold-lower active-defrag-threshold-upper activedefrag activerehashing always-show-logo
    crash-log-enabled crash-memcheck-enabled disable-thp dynamic-hz hash-max-listpack-entries hash-max-listpack-value
    hide-user-data-from-log hll-sparse-max-bytes ignore-warnings io-threads-do-reads jemalloc-bg-thread
    list-compress-depth list-max-listpack-size list-max-ziplist-entries list-max-ziplist-value locale-collate
    lua-replicate-commands max-new-connections-per-cycle max-new-tls-connections-per-cycle proc-title-template
    set-max-intset-entries set-max-listpack-entries set-max-listpack-value set-proc-title stream-node-max-bytes
    stream-node-max-entries watchdog-period zset-max-listpack-entries zset-max-listpack-value
""")

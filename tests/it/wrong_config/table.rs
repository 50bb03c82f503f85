//! What people write, and what they are told: one line each.

/// Where each key's remedy is only that the README lists them.
const KEYS: &str = "README.md lists every key";

const KEYS_WANTED: &str = "write them as { key: value }";
const ONE_VALUE: &str = "write one value behind the colon";
const FORMS: &str = "write embedded, { fence: required } or { server: { … } }";
const DURATION: &str = "write it as 30m, 48h, 92d or 1h30m";
const SIZE: &str = "write it as 20Gi, 500Mi or a number of bytes";

/// Said of a server, on line 4; the key that is blamed, below that server; what is wrong; what to do.
#[rustfmt::skip]
pub(super) const IN_SERVER: [(&str, &str, &str, &str); 69] = [
    // Keys that there are not, at every level.
    ("color: blue", "", "unknown field `color`", KEYS),
    ("Backup: {}", "", "unknown field `Backup`", KEYS),
    ("connection: { hots: x }", "connection", "unknown field `hots`", KEYS),
    ("connection: { url: 'postgres://u:hunter2@h/d' }", "connection", "unknown field `url`", KEYS),
    ("paused: { why: x }", "paused", "unknown field `why`", KEYS),
    ("volume: { size: 20Gi }", "volume", "unknown field `size`", KEYS),
    ("backup: { cron: x }", "backup", "unknown field `cron`", KEYS),
    ("retention: { keep: 7 }", "retention", "unknown field `keep`", KEYS),
    ("verify: { cron: x }", "verify", "unknown field `cron`", KEYS),
    ("drill: { shcedule: x }", "drill", "unknown field `shcedule`", KEYS),
    ("drill: { checks: [{ nmae: x }] }", "drill.checks[0]", "unknown field `nmae`", KEYS),
    ("drill: { scratch: { server: { host: x, user: y, hsot: z } } }", "drill.scratch.server", "unknown field `hsot`", KEYS),
    ("objectives: { max: 1 }", "objectives", "unknown field `max`", KEYS),
    // Another form than the one that is wanted.
    ("backup: [daily]", "backup", "expected keys with values", KEYS_WANTED),
    ("retention: 7", "retention", "expected keys with values", KEYS_WANTED),
    ("connection: 'postgres://u:hunter2@h/d'", "connection", "expected keys with values", KEYS_WANTED),
    ("paused: true", "paused", "expected keys with values", KEYS_WANTED),
    ("paused:", "paused", "expected keys with values", KEYS_WANTED),
    ("volume: 20Gi", "volume", "expected keys with values", KEYS_WANTED),
    ("drill: { checks: { name: a } }", "drill.checks", "expected a list", "with - on lines below"),
    ("drill: { checks: [orders] }", "drill.checks[0]", "expected keys with values", KEYS_WANTED),
    ("backup: { timeout: [30m] }", "backup.timeout", "expected one value", ONE_VALUE),
    ("backup: { timeout: { minutes: 30 } }", "backup.timeout", "expected one value", ONE_VALUE),
    ("backup: { retries: }", "backup.retries", "it has no value", "leave the key out"),
    ("backup: { timeout: ~ }", "backup.timeout", "it has no value", "leave the key out"),
    ("backup: { retries: !!int 1 }", "backup.retries", "a tag (!)", "leave the tag out"),
    ("backup: { retries: 1, retries: 2 }", "backup", "retries is there twice", "keep one of them"),
    ("drill: { scratch: {} }", "drill.scratch", "none of its forms", FORMS),
    ("drill: { scratch: [embedded] }", "drill.scratch", "none of its forms", FORMS),
    ("drill: { scratch: true }", "drill.scratch", "unknown variant `true`", FORMS),
    ("backup: { schedule: * 2 * * * }", "backup", "begins with * or & is no plain one", "put it into quotes"),
    // When.
    ("backup: { schedule: '* * * *' }", "backup.schedule", "five fields", "write a cron expression as \"0 2 * * *\""),
    ("backup: { schedule: '61 * * * *' }", "backup.schedule", "\"61 * * * *\"", "write a cron expression"),
    ("verify: { schedule: '' }", "verify.schedule", "five fields", "or never"),
    ("verify: { timezone: CEST }", "verify.timezone", "not a time zone", "as Europe/Berlin"),
    ("backup: { timeout: 5 minutes }", "backup.timeout", "not a duration", DURATION),
    ("backup: { timeout: -5m }", "backup.timeout", "not a duration", DURATION),
    ("backup: { lock_timeout: 0s }", "backup.lock_timeout", "must be more than 0", DURATION),
    ("backup: { retry_delay: soon }", "backup.retry_delay", "not a duration", DURATION),
    ("backup: { jitter: 13h }", "backup.jitter", "longer than 12h", "use at most 12h"),
    ("drill: { jitter: later }", "drill.jitter", "not a duration", "0s is none"),
    ("paused: { until: 2025-11-15 }", "paused.reason", "missing", "say why nothing is to run"),
    ("paused: { reason: '' }", "paused.reason", "empty", "leave the key out"),
    ("paused: { reason: x, until: tomorrow }", "paused.until", "not a moment", "write it as 2025-11-15T08:00:00Z"),
    // How much.
    ("verify: { retries: 11 }", "verify.retries", "out of range", "from 0 to 10"),
    ("backup: { retries: 1.0 }", "backup.retries", "out of range", "use a whole number"),
    ("drill: { retries: many }", "drill.retries", "out of range", "use a whole number"),
    ("backup: { jobs: 0 }", "backup.jobs", "out of range", "from 1 to 64"),
    ("connection: { port: 0 }", "connection.port", "out of range", "from 1 to 65535"),
    ("connection: { port: 70000 }", "connection.port", "out of range", "from 1 to 65535"),
    ("volume: { requested: 20GB }", "volume.requested", "not a size", SIZE),
    ("volume: { requested: 0 }", "volume.requested", "must be more than 0", SIZE),
    ("volume: { requested: 99999999999999Ti }", "volume.requested", "larger than any volume", SIZE),
    ("objectives: { max_fill: 80% }", "objectives.max_fill", "not a ratio", "as 0.80"),
    ("objectives: { max_fill: nan }", "objectives.max_fill", "not a ratio", "as 0.80"),
    ("retention: { keep_min: 0 }", "retention.keep_min", "out of range", "from 1 to"),
    // Which.
    ("retention: { adopt: maybe }", "retention.adopt", "neither true nor false", "write true or false"),
    ("backup: { when_short: panic }", "backup.when_short", "neither refuse nor warn", "write refuse or warn"),
    ("backup: { mode: watch }", "backup.mode", "not a mode", "write take or observe"),
    ("backup: { settle: 1m }", "backup.settle", "mode is not observe", "write mode: observe"),
    ("backup: { mode: observe, pattern: a/*.gz }", "backup.pattern", "not a pattern", "without a folder"),
    ("connection: { password: hunter2 }", "connection.password", "secrets do not belong", "name it with password_file"),
    ("connection: { password_file: /a, passfile: /b }", "connection.passfile", "there is a password_file too", "keep one"),
    ("connection: { sslmode: on }", "connection.sslmode", "not an sslmode", "use disable, prefer"),
    ("pg_bin: ./bin", "pg_bin", "not an absolute path", "begin with /"),
    ("drill: { checks: [{ name: a, database: b, expect: '> 0' }] }", "drill.checks[0].sql", "missing", "a check needs name"),
    ("drill: { checks: [{ name: a, database: b, sql: c, expect: lots }] }", "drill.checks[0].expect", "not an expectation", "write > 0"),
    ("drill: { scratch: { server: { host: h } } }", "drill.scratch.server.user", "is missing", "name both"),
    ("backup: { timeout: \"\\e[2J\\nlevel=error\" }", "backup.timeout", "not a duration", DURATION),
];

/// A whole file; where, what, and what to do.
#[rustfmt::skip]
pub(super) const FILES: [(&str, &str, &str, &str); 25] = [
    ("", "line 1, servers", "missing", "name at least one"),
    ("# nothing\n# yet\n", "line 1, servers", "missing", "name at least one"),
    ("servers:\n", "line 1, servers", "missing", "name at least one"),
    ("postgres\n", "line 1", "expected keys with values", KEYS_WANTED),
    ("- name: a\n", "line 1", "expected keys with values", KEYS_WANTED),
    ("server: []\n", "line 1", "unknown field `server`", KEYS),
    ("servers: { name: a }\n", "line 1, servers", "expected a list", "with - on lines below"),
    ("servers: [a]\n", "line 1, servers[0]", "expected keys with values", KEYS_WANTED),
    ("servers:\n  - name: a\n    directory: /b\n\tbackup: {}\n", "line 4", "a tab in the indentation", "indent with spaces"),
    ("servers:\n  - name: a\n     directory: /b\n", "line 3", "a colon where no key can be", "check the indentation"),
    ("servers: [{ name: a, directory: \"/b }]\n", "line 1, servers", "unclosed", KEYS),
    ("servers: [{ name: a, directory: /b }]\n---\nhttp: {}\n", "line 3", "another YAML document", "keep one"),
    ("servers: [{ name: a, directory: /b }]\nservers: []\n", "line 2", "servers is there twice", "keep one of them"),
    ("servers: [{ name: a, directory: /b }]\nhttp: { listen: localhost }\n", "line 2, http.listen", "not an address", "write it as 0.0.0.0:9959"),
    ("servers: [{ name: a, directory: /b }]\nhttp: { listen: '0.0.0.0:70000' }\n", "line 2, http.listen", "not an address", "write it as"),
    ("servers: [{ name: a, directory: /b }]\nhttp: { port: 9959 }\n", "line 2, http", "unknown field `port`", KEYS),
    ("servers: [{ name: a, directory: /b }]\nhttp: { token: hunter2 }\n", "line 2, http.token", "secrets do not belong", "token_file"),
    ("servers: [{ name: a, directory: /b }]\nlimits: { jobs: 0 }\n", "line 2, limits.jobs", "out of range", "from 1 to 64"),
    ("servers:\n  - { name: a, directory: /b }\n  - { name: a, directory: /c }\n", "line 3, servers[1].name", "another server has this name", "its own"),
    ("servers:\n  - { name: a, directory: /b }\n  - { name: c, directory: /b/./ }\n", "line 3, servers[1].directory", "the same as", "of its own"),
    ("servers:\n  - { name: a, directory: /b/c }\n  - { name: c, directory: //b }\n", "line 3, servers[1].directory", "around servers[0]", "of its own"),
    ("servers: [{ name: a, directory: backups }]\n", "line 1, servers[0].directory", "not an absolute path", "begin with /"),
    ("servers: [{ name: a, directory: /b/../c }]\n", "line 1, servers[0].directory", "not an absolute path", "leave .. out"),
    ("servers: [{ name: a b, directory: /b }]\n", "line 1, servers[0].name", "not a server name", "use 1 to 63"),
    ("servers: [{ directory: /b }]\n", "line 1, servers[0].name", "missing", ""),
];

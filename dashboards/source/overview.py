"""The dashboard of all servers: could each be restored now, to when, how fast, proven when? Worst first."""

from grafana import Query, annotation, dashboard, lines, overrides, stat, table, tag_link, timeline
from queries import CRITICAL, DOING, DOINGS, FILL, KEYS, OF_SERVER, PROBABLY, RESTORE_TIME, RULES, VERDICT, VERDICTS, WARNING, YES, age, counted, firing, increased, known, least, moment, of, of_process, value, variables

NAME = "{{namespace}} {{server}}"
LATE = (("green", None), ("yellow", 0.8), ("red", 1))
# 0 only where the rules are loaded, and where a backup was ever verified.
ALERTS = f"count by ({KEYS}) ({firing(OF_SERVER)}) or 0 * {value('pgvigil_up')} * on () group_left () {RULES}"
DAMAGED = f"{value('pgvigil_verify_corrupt_backups')} > 0 or {value('pgvigil_verify_corrupt_backups')} and {value('pgvigil_verify_last_success_timestamp_seconds')} > 0"
COLOURED = {"custom.cellOptions": {"type": "color-text"}}


def servers(condition):
    return f"count((\n{VERDICT}\n) {condition}) or 0 * count({of_process('pgvigil_build_info')})"


def share(of_what, objective):
    """1: as much as the objective allows."""
    return f"({of_what}) / ({value(objective)} > 0)"


# Less than no age is no good sign, and has no share.
AGE_SHARE = share(age("pgvigil_backup_last_success_timestamp_seconds") + " >= 0", "pgvigil_objective_max_age_seconds")
RESTORE_SHARE = share(RESTORE_TIME, "pgvigil_objective_max_restore_time_seconds")
DURATION_SHARE = share(known("pgvigil_backup_last_duration_seconds"), "pgvigil_objective_max_duration_seconds")
FILL_SHARE = share(FILL, "pgvigil_objective_max_fill_ratio")

ANNOTATIONS = [
    annotation("Backups", moment("pgvigil_backup_last_success_timestamp_seconds"), "green", "Backup", NAME, shown=False),
    annotation("Failed backups", moment("pgvigil_backup_last_failure_timestamp_seconds"), "red", "Backup failed", NAME, shown=True),
    annotation("Test restores", moment("pgvigil_drill_last_success_timestamp_seconds"), "blue", "Test restore passed", NAME, shown=False),
    annotation("Failed test restores", moment("pgvigil_drill_last_failure_timestamp_seconds"), "orange", "Test restore failed", NAME, shown=True),
    annotation("Alerts", firing(), "purple", "{{alertname}}", NAME, shown=False, at_value=False),
]

ANSWERS = [
    stat("Could I restore now?", "Of how many servers the newest backup could be restored. Yes: it is young enough, and the last test restore gave back every row. Probably: nothing was ever proven, or too long ago, or the volume or the clock cannot be trusted. No: there is none, it is too old, damaged, failed its test restore, or pgvigil has gone silent.", [
        Query(servers(f"< {PROBABLY}"), "No", now=True, steps=(("green", None), ("red", 1))),
        Query(servers(f">= {PROBABLY} < {YES}"), "Probably", now=True, steps=(("green", None), ("yellow", 1))),
        Query(servers(f">= {YES}"), "Yes", now=True, steps=(("red", None), ("green", 1))),
    ], size=(5, 6), text="value_and_name", empty="pgvigil is silent", runbooks=["PgvigilBackupTooOld", "PgvigilAbsent"]),
    stat("To when?", "The server whose newest whole backup is the oldest: what was written since is in no backup. Servers without any are counted beside it.", [
        Query(f"bottomk(1, {moment('pgvigil_backup_last_success_timestamp_seconds')})", "oldest: {{server}}", now=True, unit="dateTimeFromNow"),
        Query(f"count({value('pgvigil_backup_last_success_timestamp_seconds')} == 0) or 0 * count({of_process('pgvigil_build_info')})", "without any backup", now=True, steps=(("green", None), ("red", 1))),
    ], size=(5, 6), text="value_and_name", empty="no backup at all", runbooks=["PgvigilBackupNeverSucceeded"]),
    stat("How fast?", "The longest restore time that a test restore measured. A real one takes about as long on a machine like it.", [
        Query(f"topk(1, {RESTORE_TIME})", "slowest: {{server}}", now=True, unit="s", decimals=1),
        Query(f"count({RESTORE_SHARE} > 1) or 0 * count({of_process('pgvigil_build_info')})", "over their objective", now=True, steps=(("green", None), ("red", 1))),
    ], size=(5, 6), text="value_and_name", empty="never measured", runbooks=["PgvigilRestoreTooSlow"]),
    stat("Proven when?", "The server whose last passed test restore is the longest ago. Servers whose backups were never proven to restore are counted beside it.", [
        Query(f"bottomk(1, {moment('pgvigil_drill_last_success_timestamp_seconds')})", "oldest: {{server}}", now=True, unit="dateTimeFromNow"),
        Query(f"count({value('pgvigil_drill_proven_backup_timestamp_seconds')} == 0) or 0 * count({of_process('pgvigil_build_info')})", "never proven", now=True, steps=(("green", None), ("yellow", 1))),
    ], size=(5, 6), text="value_and_name", empty="never", runbooks=["PgvigilDrillOverdue", "PgvigilDrillFailed"]),
    stat("Alerts", "Firing alerts of pgvigil, and whether its rules are loaded at all: without them nothing fires.", [
        Query(counted(firing(CRITICAL)), "critical", now=True, steps=(("green", None), ("red", 1))),
        Query(counted(firing(WARNING)), "warning", now=True, steps=(("green", None), ("yellow", 1))),
        Query(f"{RULES} or vector(0)", "rules", now=True, mappings={0: ("not loaded", "red"), 1: ("loaded", "green")}),
    ], size=(4, 6), text="value_and_name", runbooks=["PgvigilWatchdog"]),
]

COLUMNS = [
    ("Could I restore now?", Query(VERDICT, table=True, mappings=VERDICTS, style={**COLOURED, "custom.width": 260})),
    ("Age", Query(age("pgvigil_backup_last_success_timestamp_seconds"), table=True, unit="s", decimals=1, style={"noValue": "never"})),
    ("of its limit", Query(AGE_SHARE, table=True, unit="percentunit", decimals=0, steps=LATE, style=COLOURED)),
    ("Size", Query(known("pgvigil_backup_last_size_bytes"), table=True, unit="bytes", style={"noValue": "none"})),
    ("Took", Query(known("pgvigil_backup_last_duration_seconds"), table=True, unit="s", decimals=1, style={"noValue": "none"})),
    ("Damaged", Query(DAMAGED, table=True, unit="none", mappings={0: ("none", "green")}, steps=(("text", None), ("red", 1)), style={**COLOURED, "noValue": "not verified"})),
    ("Proven ago", Query(age("pgvigil_drill_last_success_timestamp_seconds"), table=True, unit="s", decimals=1, style={"noValue": "never"})),
    ("Restores in", Query(RESTORE_TIME, table=True, unit="s", decimals=1, style={"noValue": "unknown"})),
    ("of its objective", Query(RESTORE_SHARE, table=True, unit="percentunit", decimals=0, steps=LATE, style=COLOURED)),
    ("Volume", Query(FILL, table=True, unit="percentunit", decimals=0, style={"noValue": "not measured"})),
    ("of what may be full", Query(FILL_SHARE, table=True, unit="percentunit", decimals=0, steps=LATE, style=COLOURED)),
    ("Next backup", Query(moment("pgvigil_backup_next_run_timestamp_seconds"), table=True, unit="dateTimeFromNow", style={"noValue": "none"})),
    ("Now it", Query(DOING, table=True, mappings=DOINGS, style={**COLOURED, "custom.width": 180})),
    ("Alerts", Query(ALERTS, table=True, unit="none", mappings={0: ("none", "green")}, steps=(("text", None), ("red", 1)), style={**COLOURED, "noValue": "rules not loaded"})),
]

LINK = "/d/pgvigil?var-datasource=${datasource}&var-namespace=${__data.fields.Namespace}&var-server=${__data.fields.Server}"

SERVERS = [
    table("Servers, worst first", "One row for each server. A limit or objective is that of the server's configuration; 100 % is all it allows. The name leads to the server's own dashboard.", COLUMNS,
          (24, 11), hidden=["cluster"], names={"namespace": "Namespace", "server": "Server"}, sort=[("Could I restore now?", False), ("of its limit", True)],
          extra=[overrides("byName", "Server", [("links", [{"title": "History of ${__value.text}", "url": LINK}])])],
          runbooks=["PgvigilBackupTooOld", "PgvigilBackupFailed", "PgvigilBackupCorrupt", "PgvigilServerUnreachable", "PgvigilPausedTooLong", "PgvigilMetricsAbsent"]),
    timeline("The answer over time", "Could each server have been restored at that time?", [Query(VERDICT, NAME)], (24, 9), mappings=VERDICTS),
]

HISTORY = [
    lines("Age of the newest backup", "As a part of what the server's objective allows: above 100 % it is too old.", [Query(AGE_SHARE, NAME)], unit="percentunit", steps=LATE, steps_drawn=True, runbooks=["PgvigilBackupTooOld", "PgvigilBackupMissed"]),
    lines("Restore time", "What the last test restore measured, as a part of what the server's objective allows.", [Query(RESTORE_SHARE, NAME)], unit="percentunit", steps=LATE, steps_drawn=True, runbooks=["PgvigilRestoreTooSlow"]),
    lines("Duration of backups", "As a part of what the server's objective allows.", [Query(DURATION_SHARE, NAME)], unit="percentunit", steps=LATE, steps_drawn=True, runbooks=["PgvigilBackupTookTooLong", "PgvigilBackupRunningTooLong"]),
    lines("Size of the newest backup", "A sudden drop means that data was deleted, or that the backup misses some.", [Query(known("pgvigil_backup_last_size_bytes"), NAME)], unit="bytes", runbooks=["PgvigilBackupShrank"]),
    lines("Volumes", "How full the volume of each server's backups is.", [Query(FILL, NAME)], unit="percentunit", maximum=1, runbooks=["PgvigilVolumeFilling", "PgvigilVolumeUnmeasured"]),
    lines("Days until a backup no longer fits", "At the present pace of growth, with the retention policy at work. More than 90 are drawn as 90; a server that is not in it has room for as long as can be foreseen.", [
        Query(f"clamp_max(({least(of('pgvigil_volume_full_timestamp_seconds') + ' > 0')} - time()) / 86400, 90)", NAME),
    ], unit="d", decimals=1, steps=(("red", None), ("green", 4)), steps_drawn=True, runbooks=["PgvigilVolumeFullSoon", "PgvigilNextBackupWillNotFit"]),
    lines("Failed attempts", "Backups, verifications and test restores that did not pass, in each quarter of a day.", [
        Query(f"sum by ({KEYS}) ({increased(metric, 'reason')}) > 0", f"{NAME}: {what}")
        for metric, what in (("pgvigil_backup_failures_total", "backup"), ("pgvigil_verify_failures_total", "verification"), ("pgvigil_drill_failures_total", "test restore"))
    ], bars=True, stacked=True, calcs=("sum",), decimals=0, every="6h", unit="short", empty="none", runbooks=["PgvigilBackupFailed", "PgvigilDrillFailed", "PgvigilDrillCouldNotRun"]),
    table("Processes", "Every pgvigil that Prometheus sees, its version, and whether it could read its configuration the last time.", [
        ("Configuration", Query(f"max by (cluster, namespace, job, instance) ({of_process('pgvigil_config_last_reload_successful')})", table=True, mappings={0: ("could not be read", "red"), 1: ("in force", "green")}, style=COLOURED)),
        ("Up for", Query(f"time() - max by (cluster, namespace, job, instance) ({of_process('process_start_time_seconds')})", table=True, unit="dtdurations", decimals=0)),
        ("", Query(f"max by (cluster, namespace, job, instance, version) ({of_process('pgvigil_build_info')})", table=True, unit="none")),
    ], (12, 8), hidden=["cluster", "Value #C"], names={"namespace": "Namespace", "job": "Job", "instance": "Instance", "version": "Version"}, sort=[("Configuration", False)], extra=[], runbooks=["PgvigilConfigReloadFailed"]),
]

DASHBOARD = dashboard(
    "pgvigil-overview", "pgvigil / Overview", "All PostgreSQL servers that pgvigil watches over: could each be restored now, to when, how fast, proven when?",
    [(None, ANSWERS), (None, SERVERS), ("History", HISTORY)],
    variables=variables(), annotations=ANNOTATIONS, links=[tag_link()], start="now-7d",
)

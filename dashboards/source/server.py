"""The dashboard of one server: the same four answers, and the history behind each. Alerts link here."""

from grafana import Query, annotation, dashboard, lines, stat, tag_link, text_variable, timeline, url_link
from queries import CRITICAL, DOING, DOINGS, FILL, OF_SERVER, RESTORE_TIME, VERDICT, VERDICTS, WARNING, age, counted, firing, increased, known, largest, least, moment, of, of_process, value, variables

NAME = "{{server}}"
INSTANCE = "{{instance}}"
SUCCESS = "pgvigil_backup_last_success_timestamp_seconds"
PROVEN = "pgvigil_drill_last_success_timestamp_seconds"


def objective(metric):
    return Query(value(metric), f"{NAME}: objective", objective=True)


def failures(metric):
    """Replicas count the same ledger; bars of a quarter of a day do not count one failure twice."""
    return Query(f"{increased(metric, 'reason')} > 0", f"{NAME}: {{{{reason}}}}")


def by_instance(what):
    """Of the processes that export this server."""
    return f"max by (instance) ({what} and on (cluster, namespace, job, instance) {of('pgvigil_up')})"


VARIABLES = [
    *variables(every=None, multi=False),
    text_variable("status_page", "Status page", "http://localhost:9959/", "Where your browser reaches pgvigil; as it stands: after kubectl port-forward deploy/pgvigil 9959"),
]

ANNOTATIONS = [
    annotation("Backups", moment(SUCCESS), "green", "Backup", NAME, shown=True),
    annotation("Failed backups", moment("pgvigil_backup_last_failure_timestamp_seconds"), "red", "Backup failed", NAME, shown=True),
    annotation("Test restores", moment(PROVEN), "blue", "Test restore passed", NAME, shown=True),
    annotation("Failed test restores", moment("pgvigil_drill_last_failure_timestamp_seconds"), "orange", "Test restore failed", NAME, shown=True),
    annotation("Test restores that could not run", moment("pgvigil_drill_last_error_timestamp_seconds"), "yellow", "Test restore could not run", NAME, shown=False),
    annotation("Verifications", moment("pgvigil_verify_last_success_timestamp_seconds"), "super-light-green", "Verified", NAME, shown=False),
    annotation("Alerts", firing(OF_SERVER), "purple", "{{alertname}}", NAME, shown=False, at_value=False),
]

ANSWERS = [
    stat("Could I restore now?", "Yes: the newest backup is young enough, none is damaged, and the last test restore gave back every row.", [Query(VERDICT, NAME, now=True)],
         (5, 5), mappings=VERDICTS, colour="background", empty="Unknown: no metrics", runbooks=["PgvigilBackupNeverSucceeded", "PgvigilBackupTooOld", "PgvigilBackupCorrupt", "PgvigilMetricsAbsent"]),
    stat("To when?", "When the newest whole backup was finished, and the oldest that is kept. What was written since the newest is in no backup.", [
        Query(moment(SUCCESS), "newest", now=True, unit="dateTimeAsIso"),
        Query(age(SUCCESS), "its age", now=True, unit="s", decimals=1),
        Query(moment("pgvigil_backup_oldest_timestamp_seconds"), "oldest", now=True, unit="dateTimeAsIso"),
    ], (7, 5), text="value_and_name", empty="never", runbooks=["PgvigilBackupTooOld"]),
    stat("How fast?", "How long the last test restore took to restore everything, and how long it may take.", [
        Query(value("pgvigil_drill_phase_duration_seconds", 'phase="restore"'), "measured", now=True, unit="s", decimals=1, mappings={0: ("never", "text")}),
        Query(value("pgvigil_objective_max_restore_time_seconds"), "objective", now=True, unit="s", decimals=1),
    ], (4, 5), text="value_and_name", runbooks=["PgvigilRestoreTooSlow"]),
    stat("Proven when?", "When a test restore last gave back every row, and when the newest backup that one proved was finished.", [
        Query(moment(PROVEN), "passed", now=True, unit="dateTimeFromNow"),
        Query(moment("pgvigil_drill_proven_backup_timestamp_seconds"), "a backup of", now=True, unit="dateTimeAsIso"),
    ], (5, 5), text="value_and_name", empty="never", runbooks=["PgvigilDrillFailed", "PgvigilDrillOverdue"]),
    stat("Alerts", "Firing alerts of this server; they need pgvigil's rules in Prometheus.", [
        Query(counted(firing(CRITICAL, OF_SERVER)), "critical", now=True, steps=(("green", None), ("red", 1))),
        Query(counted(firing(WARNING, OF_SERVER)), "warning", now=True, steps=(("green", None), ("yellow", 1))),
    ], (3, 5), text="value_and_name", empty="rules not loaded", runbooks=["PgvigilWatchdog"]),
]

PLAN = [
    stat("Now it", "What pgvigil does with the server at the moment.", [Query(DOING, NAME, now=True)], (5, 4), mappings=DOINGS, empty="no metrics", runbooks=["PgvigilServerUnreachable"]),
    stat("Paused because", "Why nothing of this server runs by itself, if so.", [Query(largest(of("pgvigil_backup_pause_info"), "reason"), "{{reason}}", now=True)], (5, 4), text="name", empty="not paused", runbooks=["PgvigilPausedTooLong"]),
    stat("Pause", "Since when nothing of this server runs by itself, and until when, if that is known.", [
        Query(moment("pgvigil_backup_paused_since_timestamp_seconds"), "since", now=True),
        Query(moment("pgvigil_backup_paused_until_timestamp_seconds"), "until", now=True),
    ], (4, 4), text="value_and_name", unit="dateTimeFromNow", empty="none", runbooks=["PgvigilPausedTooLong"]),
    stat("Next", "When the next runs are due.", [
        Query(moment("pgvigil_backup_next_run_timestamp_seconds"), "backup", now=True),
        Query(moment("pgvigil_verify_next_run_timestamp_seconds"), "verification", now=True),
        Query(moment("pgvigil_drill_next_run_timestamp_seconds"), "test restore", now=True),
    ], (6, 4), text="value_and_name", unit="dateTimeFromNow", empty="nothing is scheduled"),
    stat("Room for backups until", "When a backup will no longer fit, at the present pace of growth.", [Query(f"{least(of('pgvigil_volume_full_timestamp_seconds') + ' > 0')} * 1000", NAME, now=True)], (4, 4), unit="dateTimeFromNow", empty="not foreseen to end", runbooks=["PgvigilVolumeFullSoon", "PgvigilNextBackupWillNotFit"]),
    timeline("The answer over time", "Could the server have been restored at that time?", [Query(VERDICT, NAME)], (12, 5), mappings=VERDICTS),
    timeline("What it did", "Runs, pauses, and times without PostgreSQL.", [Query(DOING, NAME)], (12, 5), mappings=DOINGS),
]

BACKUPS = [
    lines("Age of the newest backup", "Grows until the next backup is finished; that should be before it meets the objective.", [Query(age(SUCCESS), f"{NAME}: age"), objective("pgvigil_objective_max_age_seconds")], unit="s", runbooks=["PgvigilBackupTooOld", "PgvigilBackupMissed"]),
    lines("Duration", "How long the last whole backup took, and for how long one runs at the moment.", [
        Query(known("pgvigil_backup_last_duration_seconds"), f"{NAME}: last"),
        Query(age("pgvigil_backup_in_progress_since_timestamp_seconds"), f"{NAME}: running"),
        objective("pgvigil_objective_max_duration_seconds"),
    ], unit="s", runbooks=["PgvigilBackupTookTooLong", "PgvigilBackupRunningTooLong"]),
    lines("Size", "The newest backup as it lies on disk, the median of the seven before it, and what the next is expected to take at the most.", [
        Query(known("pgvigil_backup_last_size_bytes"), f"{NAME}: newest"),
        Query(known("pgvigil_backup_median_size_bytes"), f"{NAME}: median"),
        Query(known("pgvigil_backup_predicted_size_bytes"), f"{NAME}: next, at the most", style={"custom.lineStyle": {"fill": "dash", "dash": [4, 6]}, "custom.fillOpacity": 0}),
    ], unit="bytes", runbooks=["PgvigilBackupShrank"]),
    lines("Throughput", "Bytes of the dump, and bytes written to the volume, by the second of the last backup.", [
        Query(f"{value('pgvigil_backup_last_uncompressed_size_bytes')} / {known('pgvigil_backup_last_duration_seconds')}", f"{NAME}: dumped"),
        Query(f"{value('pgvigil_backup_last_size_bytes')} / {known('pgvigil_backup_last_duration_seconds')}", f"{NAME}: written"),
    ], unit="binBps", runbooks=["PgvigilBackupTookTooLong"]),
    lines("Failed backups by reason", "Attempts that failed in each quarter of a day. A second attempt may have passed.", [failures("pgvigil_backup_failures_total")], bars=True, stacked=True, calcs=("sum",), unit="short", empty="none", decimals=0, every="6h", runbooks=["PgvigilBackupFailed"]),
    lines("Kept", "Backups kept, and what they take together.", [
        Query(value("pgvigil_backups"), f"{NAME}: backups"),
        Query(value("pgvigil_backups_size_bytes"), f"{NAME}: size", unit="bytes", style={"custom.axisPlacement": "right", "custom.fillOpacity": 0}),
    ], unit="short", decimals=0),
    lines("Rows", "Rows of each database in the newest whole backup.", [Query(largest(of("pgvigil_backup_database_rows"), "database"), f"{NAME}: {{{{database}}}}")], unit="short", runbooks=["PgvigilBackupShrank"]),
    lines("Databases", "Size of each database on the server when its newest whole backup began.", [Query(largest(of("pgvigil_backup_database_size_bytes"), "database"), f"{NAME}: {{{{database}}}}")], unit="bytes"),
]

PROOF = [
    lines("Restore time", "How long the last test restore took to restore everything: a real one would take about as long.", [Query(RESTORE_TIME, f"{NAME}: measured"), objective("pgvigil_objective_max_restore_time_seconds")], unit="s", runbooks=["PgvigilRestoreTooSlow"]),
    lines("Phases of the test restore", "Where the time of the last one went.", [Query(largest(of("pgvigil_drill_phase_duration_seconds") + " > 0", "phase"), f"{NAME}: {{{{phase}}}}")], stacked=True, unit="s"),
    lines("Age of the proof", "Time since a test restore last gave back every row.", [Query(age(PROVEN), f"{NAME}: age"), objective("pgvigil_objective_max_drill_age_seconds")], unit="s", runbooks=["PgvigilDrillOverdue"]),
    lines("Compared in the last test restore", "Rows read back and compared, and what was not equal.", [
        Query(value("pgvigil_drill_rows_compared"), f"{NAME}: rows"),
        Query(value("pgvigil_drill_tables_compared"), f"{NAME}: tables", style={"custom.axisPlacement": "right", "custom.fillOpacity": 0}),
        Query(value("pgvigil_drill_mismatches"), f"{NAME}: not equal", style={"custom.axisPlacement": "right", "custom.fillOpacity": 0}),
    ], unit="short", runbooks=["PgvigilDrillFailed"]),
    lines("Failed test restores and verifications by reason", "Those that did not pass in each quarter of a day.", [failures("pgvigil_drill_failures_total"), failures("pgvigil_verify_failures_total")], bars=True, stacked=True, calcs=("sum",), unit="short", empty="none", decimals=0, every="6h", runbooks=["PgvigilDrillFailed", "PgvigilDrillCouldNotRun"]),
    lines("Verification", "Time since a backup last passed verification, and the longest time between two scheduled ones.", [
        Query(age("pgvigil_verify_last_success_timestamp_seconds"), f"{NAME}: age"),
        Query(known("pgvigil_verify_expected_interval_seconds"), f"{NAME}: scheduled", objective=True),
    ], unit="s", runbooks=["PgvigilVerifyOverdue"]),
    lines("Damaged backups", "Backups kept whose last verification found damage.", [Query(value("pgvigil_verify_corrupt_backups"), NAME)], unit="short", decimals=0, steps=(("green", None), ("red", 1)), runbooks=["PgvigilBackupCorrupt"]),
    lines("Duration of proofs", "How long the last verification and the last test restore took, all phases together.", [
        Query(known("pgvigil_verify_last_duration_seconds"), f"{NAME}: verification"),
        Query(known("pgvigil_drill_last_duration_seconds"), f"{NAME}: test restore"),
    ], unit="s"),
]

VOLUME = [
    lines("Volume", "What is taken and left. The dashed line is what the next backup is expected to take at the most: below it, it will not fit.", [
        Query(value("pgvigil_volume_used_bytes"), f"{NAME}: used"),
        Query(least(of("pgvigil_volume_available_bytes")), f"{NAME}: left"),
        Query(value("pgvigil_backup_directory_size_bytes"), f"{NAME}: folder of the backups"),
        Query(known("pgvigil_volume_size_bytes"), f"{NAME}: size", style={"custom.fillOpacity": 0}),
        Query(known("pgvigil_volume_requested_bytes"), f"{NAME}: claim", style={"custom.fillOpacity": 0}),
        Query(known("pgvigil_backup_predicted_size_bytes"), f"{NAME}: next backup", objective=True),
    ], unit="bytes", runbooks=["PgvigilNextBackupWillNotFit", "PgvigilVolumeUnmeasured"]),
    lines("How full", "The worse of what the file system says, and of the folder's share in the claim.", [Query(FILL, f"{NAME}: full"), objective("pgvigil_objective_max_fill_ratio")], unit="percentunit", maximum=1, empty="not measured", runbooks=["PgvigilVolumeFilling", "PgvigilVolumeUnmeasured"]),
    lines("Days until a backup no longer fits", "At the present pace of growth, with the retention policy at work. There is nothing to draw while that is not foreseen.", [
        Query(f"({least(of('pgvigil_volume_full_timestamp_seconds') + ' > 0')} - time()) / 86400", NAME),
    ], unit="d", decimals=1, empty="not foreseen", steps=(("red", None), ("green", 4)), steps_drawn=True, runbooks=["PgvigilVolumeFullSoon"]),
    lines("Files and retention", "Files that can still be made, and backups removed because they were no longer wanted, in each quarter of a day.", [
        Query(least(of("pgvigil_volume_files_free")), f"{NAME}: files left"),
        Query(increased("pgvigil_pruned_backups_total"), f"{NAME}: removed", decimals=0, style={"custom.drawStyle": "bars", "custom.axisPlacement": "right"}),
    ], unit="short", every="6h"),
]

PROCESSES = [
    lines("Processor", "Processor time of each pgvigil, without the programs of PostgreSQL that it starts. 100 % is one core.", [Query(by_instance(f"rate({of_process('process_cpu_seconds_total')}[$__rate_interval])"), INSTANCE)], (8, 7), unit="percentunit", decimals=2),
    lines("Memory", "Resident memory of each pgvigil.", [Query(by_instance(of_process("process_resident_memory_bytes")), INSTANCE)], (8, 7), unit="bytes"),
    lines("Open files", "Files, pipes and connections that each pgvigil has open.", [Query(by_instance(of_process("process_open_fds")), INSTANCE)], (8, 7), unit="short", decimals=0),
    lines("Time of a scrape", "How long it took to gather the metrics.", [Query(by_instance(of_process("pgvigil_scrape_duration_seconds")), INSTANCE)], (8, 7), unit="s"),
    lines("Running since", "Falls to 0 where pgvigil was started anew.", [Query(f"time() - {by_instance(of_process('process_start_time_seconds'))}", INSTANCE)], (8, 7), unit="s"),
    stat("Configuration", "Whether pgvigil could read its configuration the last time, and when it last could.", [
        Query(by_instance(of_process("pgvigil_config_last_reload_successful")), INSTANCE, now=True, mappings={0: ("could not be read", "red"), 1: ("in force", "green")}),
        Query(f"{by_instance(of_process('pgvigil_config_last_reload_success_timestamp_seconds'))} * 1000", f"{INSTANCE} read it", now=True, unit="dateTimeFromNow"),
    ], (8, 7), text="value_and_name", runbooks=["PgvigilConfigReloadFailed"]),
]

DASHBOARD = dashboard(
    "pgvigil", "pgvigil / Server", "One PostgreSQL server that pgvigil watches over: could it be restored now, to when, how fast, proven when, and what led there?",
    [(None, ANSWERS), (None, PLAN), ("Backups", BACKUPS), ("Proof", PROOF), ("Volume", VOLUME), ("Processes", PROCESSES)],
    variables=VARIABLES, annotations=ANNOTATIONS, start="now-7d",
    links=[tag_link(), url_link("Status page", "${status_page}", "pgvigil's own page. Its address stands in the field Status page above, since Prometheus may know another one than your browser.")],
)

"""What the dashboards ask of Prometheus: the selectors that all queries share, and the answers that both dashboards give.

Several pods of pgvigil may watch over one server, so every query takes the largest (of room: the least) of what they say, by
cluster, namespace and server. A timestamp of 0 means never, a size or an interval of 0 that it is not known.
"""

from grafana import datasource_variable, query_variable

PROCESS = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job", instance=~"$instance"'
OF_SERVER = 'server=~"$server"'
KEYS = "cluster, namespace, server"
CRITICAL, WARNING = 'severity="critical"', 'severity="warning"'


def variables(**server):
    """The choices on top of a dashboard, each among what the ones before it leave."""
    return [
        datasource_variable(),
        query_variable("cluster", "Cluster", "label_values(pgvigil_build_info, cluster)", every=".*", hidden=True),
        query_variable("namespace", "Namespace", 'label_values(pgvigil_build_info{cluster=~"$cluster"}, namespace)', every=".*"),
        query_variable("job", "Job", 'label_values(pgvigil_build_info{cluster=~"$cluster", namespace=~"$namespace"}, job)'),
        query_variable("instance", "Instance", 'label_values(pgvigil_build_info{cluster=~"$cluster", namespace=~"$namespace", job=~"$job"}, instance)'),
        query_variable("server", "Server", f"label_values(pgvigil_up{{{PROCESS}}}, server)", **server),
    ]


def of(metric, *matchers):
    """A metric of the servers that are chosen."""
    return f"{metric}{{{', '.join((PROCESS, OF_SERVER, *matchers))}}}"


def of_process(metric):
    """A metric of the processes that are chosen."""
    return f"{metric}{{{PROCESS}}}"


def largest(what, *keys):
    return f"max by ({', '.join((KEYS, *keys))}) ({what})"


def least(what):
    return f"min by ({KEYS}) ({what})"


def value(metric, *matchers):
    return largest(of(metric, *matchers))


def known(metric, *matchers):
    """Its value where it is not 0."""
    return largest(of(metric, *matchers) + " > 0")


def age(metric):
    return f"time() - {known(metric)}"


def increased(metric, *keys):
    """How often more in each interval; every replica counts the same ledger."""
    return largest(f"increase({of(metric)}[$__interval])", *keys)


def moment(metric):
    """In milliseconds, as Grafana's units of time want it."""
    return f"{known(metric)} * 1000"


def firing(*matchers):
    """Alerts have the labels of their rules: no job and no instance."""
    chosen = ('alertname=~"Pgvigil.+"', 'alertname!="PgvigilWatchdog"', 'alertstate="firing"', 'cluster=~"$cluster"', 'namespace=~"$namespace"')
    return f"ALERTS{{{', '.join((*chosen, *matchers))}}}"


def counted(alerts):
    """How many, 0 where none is; nothing where the rules are not loaded, since then nothing is known of alerts."""
    return f"count({alerts}) or 0 * {RULES}"


RULES = 'max(ALERTS{alertname="PgvigilWatchdog", alertstate="firing"})'
RESTORE_TIME = known("pgvigil_drill_phase_duration_seconds", 'phase="restore"')
# A volume of no size could not be measured, and its share of 0 says nothing.
FILL = f"{value('pgvigil_volume_fill_ratio')} and {value('pgvigil_volume_size_bytes')} > 0"

# The first condition that holds tells. Clocks may differ by five minutes, as in src/status/verdict.rs. The last line is for servers that Prometheus knew within three days and does not any more.
VERDICT = "\n".join([
    f"0 * ({value('pgvigil_backup_last_success_timestamp_seconds')} == 0)",
    f"or 1 + 0 * ({age('pgvigil_backup_last_success_timestamp_seconds')} > {value('pgvigil_objective_max_age_seconds')})",
    f"or 2 + 0 * ({value('pgvigil_drill_last_failure_timestamp_seconds')} > {value('pgvigil_drill_last_success_timestamp_seconds')})",
    f"or 3 + 0 * ({value('pgvigil_verify_corrupt_backups')} > 0)",
    f"or 4 + 0 * ({value('pgvigil_backup_last_success_timestamp_seconds')} > time() + 300)",
    f"or 5 + 0 * ({value('pgvigil_drill_proven_backup_timestamp_seconds')} == 0)",
    f"or 6 + 0 * ({age('pgvigil_drill_last_success_timestamp_seconds')} > {value('pgvigil_objective_max_drill_age_seconds')})",
    f"or 7 + 0 * ({value('pgvigil_volume_size_bytes')} == 0)",
    f"or 8 + 0 * {value('pgvigil_up')}",
    f"or -1 * group by ({KEYS}) (last_over_time({of('pgvigil_up')}[3d]))",
])

VERDICTS = {
    -1: ("Unknown: no metrics", "purple"),
    0: ("No: there is no backup", "red"),
    1: ("Only an old state", "red"),
    2: ("Not surely: the test restore failed", "red"),
    3: ("Not surely: a backup is damaged", "red"),
    4: ("Unknown: dated in the future", "yellow"),
    5: ("Probably: never proven", "yellow"),
    6: ("Probably: proven long ago", "yellow"),
    7: ("As far as is known: volume not measured", "yellow"),
    8: ("Yes", "green"),
}
# From these values on a server counts as one that could probably, and as one that could surely be restored.
PROBABLY, YES = 4, 8

# Of a server whose schedules are all `never` nothing is due.
SCHEDULED = " or ".join(known(f"pgvigil_{job}_next_run_timestamp_seconds") for job in ("backup", "verify", "drill"))

DOING = "\n".join([
    f"4 * ({value('pgvigil_backup_in_progress')} == 1)",
    f"or 3 * ({value('pgvigil_drill_in_progress')} == 1)",
    f"or 2 * ({value('pgvigil_verify_in_progress')} == 1)",
    f"or 5 * ({value('pgvigil_backup_paused')} == 1)",
    f"or 1 * ({value('pgvigil_up')} == 1 and ({SCHEDULED}))",
    f"or 6 * ({value('pgvigil_up')} == 1)",
    f"or 0 * ({value('pgvigil_up')} == 0)",
])

DOINGS = {
    0: ("PostgreSQL does not answer", "red"),
    1: ("waits for the next run", "green"),
    2: ("verifies", "blue"),
    3: ("restores for a test", "purple"),
    4: ("takes a backup", "super-light-blue"),
    5: ("is paused", "yellow"),
    6: ("has nothing scheduled", "text"),
}

"""What of Grafana's JSON the dashboards use: panels on a grid of 24 columns, variables, annotations, links.

The schema is the classic one, which Grafana 10 and newer read. Everything has its default here once.
"""

RUNBOOKS = "https://github.com/pgvigil/pgvigil/blob/main/rules/runbooks"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24


class Query:
    """One query of a panel. An `objective` is drawn as a dashed red line, `now` asks for the last value alone."""

    def __init__(self, expr, legend="__auto", *, now=False, objective=False, table=False, unit=None, decimals=None, mappings=None, steps=None, style=None):
        self.expr, self.legend, self.now, self.table = expr, legend, now or table, table
        self.properties = []
        if objective:
            self.properties += [
                ("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
                ("custom.fillOpacity", 0),
                ("custom.stacking", {"mode": "none", "group": "A"}),
                ("color", {"mode": "fixed", "fixedColor": "red"}),
            ]
        if unit:
            self.properties.append(("unit", unit))
        if decimals is not None:
            self.properties.append(("decimals", decimals))
        if mappings:
            self.properties.append(("mappings", value_mappings(mappings)))
        if steps:
            self.properties.append(("thresholds", thresholds(steps)))
        self.properties += list((style or {}).items())

    def target(self, ref):
        return {
            "datasource": DATASOURCE,
            "expr": self.expr,
            "refId": ref,
            "legendFormat": self.legend,
            "instant": self.now,
            "range": not self.now,
            "format": "table" if self.table else "time_series",
        }


def value_mappings(mappings):
    """Of {value: (text, colour)}, or of none; a text stands for every colour, since not everybody sees them."""
    if not mappings:
        return []
    options = {str(value): {"text": text, "color": colour, "index": at} for at, (value, (text, colour)) in enumerate(mappings.items())}
    return [{"type": "value", "options": options}]


def thresholds(steps):
    """Of [(colour, from)]; the first holds from below."""
    return {"mode": "absolute", "steps": [{"color": colour, "value": None if at == 0 else value} for at, (colour, value) in enumerate(steps)]}


def overrides(matcher, wanted, properties):
    return {"matcher": {"id": matcher, "options": wanted}, "properties": [{"id": name, "value": value} for name, value in properties]}


def panel(kind, title, description, queries, size, *, unit="none", decimals=None, mappings=None, steps=(("text", None),), colour="thresholds",
          empty=None, runbooks=(), custom=None, options=None, extra=(), every="1m", minimum=None, maximum=None, transformations=()):
    defaults = {"color": {"mode": colour}, "custom": custom or {}, "mappings": value_mappings(mappings), "thresholds": thresholds(steps), "unit": unit}
    for name, value in (("decimals", decimals), ("noValue", empty), ("min", minimum), ("max", maximum)):
        if value is not None:
            defaults[name] = value
    refs = [(chr(ord("A") + at), query) for at, query in enumerate(queries)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": [query.target(ref) for ref, query in refs],
        "fieldConfig": {
            "defaults": defaults,
            "overrides": [overrides("byFrameRefID", ref, query.properties) for ref, query in refs if query.properties] + list(extra),
        },
        "options": options or {},
        "interval": every,
        "links": [{"title": f"Runbook: {name}", "url": f"{RUNBOOKS}/{name}.md", "targetBlank": True} for name in runbooks],
        "transformations": list(transformations),
        "gridPos": {"w": size[0], "h": size[1]},
    }


def stat(title, description, queries, size=(4, 5), *, text="auto", colour="value", **more):
    options = {
        "colorMode": colour,
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": text,
    }
    return panel("stat", title, description, queries, size, options=options, **more)


def lines(title, description, queries, size=(12, 8), *, calcs=("lastNotNull",), bars=False, stacked=False, steps_drawn=False, **more):
    """A chart over time; `steps_drawn` shows its thresholds as lines."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 80 if bars else 10,
        "lineInterpolation": "stepAfter",
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if steps_drawn else "off"},
    }
    options = {
        "legend": {"calcs": list(calcs), "displayMode": "table", "placement": "bottom", "showLegend": True, "sortBy": "Last *", "sortDesc": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    more.setdefault("minimum", 0)
    more.setdefault("empty", "nothing yet")
    return panel("timeseries", title, description, queries, size, custom=custom, options=options, colour="palette-classic", **more)


def timeline(title, description, queries, size, **more):
    """States over time, one band for each series."""
    options = {
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel("state-timeline", title, description, queries, size, custom={"fillOpacity": 80, "lineWidth": 0}, options=options, every="5m", **more)


def table(title, description, columns, size, *, hidden, names, sort, extra, **more):
    """One row for each label set, one column for each query: `columns` is [(title, query)]."""
    queries = [query for _, query in columns]
    values = {f"Value #{chr(ord('A') + at)}": title for at, (title, _) in enumerate(columns)}
    if len(columns) == 1:
        values = {"Value": columns[0][0]}
    order = [*names, *values]
    organize = {"excludeByName": {name: True for name in ("Time", *hidden)}, "indexByName": {name: at for at, name in enumerate(order)}, "renameByName": {**names, **values}}
    # After the renaming a column is found by its title; its query's properties go there.
    found = [overrides("byName", title, query.properties) for title, query in columns if query.properties]
    for query in queries:
        query.properties = []
    options = {"cellHeight": "sm", "footer": {"show": False}, "showHeader": True, "sortBy": [{"displayName": name, "desc": desc} for name, desc in sort]}
    transformations = [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True}
    return panel("table", title, description, queries, size, custom=custom, options=options, extra=[*found, *extra], transformations=transformations, **more)


def lay_out(rows):
    """Gives panels their place and number: `rows` is [(title or None, [panel])], panels flow from left to right."""
    panels, y = [], 0
    for title, members in rows:
        if title:
            panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y}, "panels": []})
            y += 1
        x = height = 0
        for member in members:
            where = member["gridPos"]
            if x + where["w"] > COLUMNS:
                x, y, height = 0, y + height, 0
            where["x"], where["y"] = x, y
            x, height = x + where["w"], max(height, where["h"])
            panels.append(member)
        y += height
    for number, member in enumerate(panels, start=1):
        member["id"] = number
    return panels


def datasource_variable():
    return {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "hide": 0, "includeAll": False, "multi": False, "current": {}, "options": [], "refresh": 1, "regex": ""}


def query_variable(name, label, query, *, every=".+", multi=True, hidden=False, description=""):
    """The values of a label; `every` is what "All" stands for, None leaves that out."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "sort": 1,
        "hide": 2 if hidden else 0,
        "includeAll": every is not None,
        "allValue": every,
        "multi": multi,
        "current": {} if every is None else {"selected": True, "text": ["All"] if multi else "All", "value": ["$__all"] if multi else "$__all"},
        "options": [],
        "regex": "",
    }


def text_variable(name, label, value, description):
    chosen = {"selected": True, "text": value, "value": value}
    return {"type": "textbox", "name": name, "label": label, "description": description, "query": value, "hide": 0, "current": chosen, "options": [chosen]}


def annotation(name, expr, colour, title, text, *, shown, at_value=True):
    """Marks on every chart, with a switch on top; `at_value`: the value is the moment, in milliseconds."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": shown,
        "hide": False,
        "expr": expr,
        "iconColor": colour,
        "step": "300s",
        "tagKeys": "",
        "textFormat": text,
        "titleFormat": title,
        "useValueForTime": at_value,
    }


def dashboard(uid, title, description, rows, *, variables, annotations, links, start):
    return {
        "id": None,
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["pgvigil", "postgresql", "backup"],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1m",
        "schemaVersion": 39,
        "time": {"from": start, "to": "now"},
        "timepicker": {"refresh_intervals": ["30s", "1m", "5m", "15m", "1h"]},
        "timezone": "browser",
        "version": 1,
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "links": links,
        "annotations": {"list": annotations},
        "templating": {"list": variables},
        "panels": lay_out(rows),
    }


def tag_link():
    """All dashboards with our tag, with the variables and the time range of this one."""
    return {"type": "dashboards", "title": "pgvigil", "tags": ["pgvigil"], "asDropdown": True, "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": "The other dashboards of pgvigil", "url": ""}


def url_link(title, url, tooltip):
    return {"type": "link", "title": title, "url": url, "tooltip": tooltip, "icon": "external link", "targetBlank": True, "asDropdown": False, "includeVars": False, "keepTime": False, "tags": []}

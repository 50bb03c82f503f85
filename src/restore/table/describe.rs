//! A planned restore of tables as a person reads it before agreeing.

use super::live::LiveTable;
use super::name::Name;
use super::{Mode, Planned, Task};
use crate::config::units::format_bytes;
use crate::restore::plan::{Action, Item, ItemKind, Plan};

impl Planned {
    /// Adds to a plan what this restore does.
    pub fn describe(&self, plan: &mut Plan) {
        plan.rows += self.loads.iter().map(|load| load.table.rows).sum::<u64>();
        plan.bytes += self.bytes();
        plan.notes.extend(self.notes.iter().cloned());
        plan.refusals.extend(self.refusals.iter().cloned());
        match &self.work {
            Task::Make { made, .. } => {
                let replace = self.request.mode == Mode::Replace;
                for name in &made.tables {
                    let live = self.live.iter().find(|table| table.name == *name);
                    plan.items.push(item(
                        ItemKind::Table,
                        name,
                        self.detail(name, live),
                        live,
                        replace,
                    ));
                }
                for (_, new) in &made.sequences {
                    let detail = "as in the backup".to_owned();
                    plan.items
                        .push(item(ItemKind::Sequence, new, detail, None, replace));
                }
                let beside = self.live.iter().filter(|_| !replace);
                plan.items.extend(beside.map(|table| Item {
                    kind: ItemKind::Table,
                    name: table.name.to_string(),
                    action: Action::LeaveAlone,
                    detail: size(table),
                }));
            }
            Task::Fill { empty, .. } => {
                for load in &self.loads {
                    let live = self.live.iter().find(|table| table.name == load.into);
                    plan.items.push(Item {
                        kind: ItemKind::Table,
                        name: load.into.to_string(),
                        action: if *empty {
                            Action::Replace
                        } else {
                            Action::Append
                        },
                        detail: self.detail(&load.into, live),
                    });
                }
            }
        }
    }

    fn detail(&self, name: &Name, live: Option<&LiveTable>) -> String {
        let of_backup = match self.loads.iter().find(|load| load.into == *name) {
            Some(load) => format!(
                "{} rows of table {}.{} of the backup",
                load.table.rows, load.table.schema, load.table.name
            ),
            None => "a partitioned table; its rows are its partitions'".to_owned(),
        };
        match live {
            Some(live) => format!("{of_backup}; live now: {}", size(live)),
            None => of_backup,
        }
    }
}

fn item(
    kind: ItemKind,
    name: &Name,
    detail: String,
    live: Option<&LiveTable>,
    replace: bool,
) -> Item {
    Item {
        kind,
        name: name.to_string(),
        action: if replace && live.is_some() {
            Action::Replace
        } else {
            Action::Create
        },
        detail,
    }
}

fn size(table: &LiveTable) -> String {
    match table.rows {
        Some(rows) => format!(
            "about {rows} rows, {} with indexes",
            format_bytes(u64::try_from(table.bytes).unwrap_or(0))
        ),
        None => format!(
            "{} with indexes, rows not counted yet",
            format_bytes(u64::try_from(table.bytes).unwrap_or(0))
        ),
    }
}

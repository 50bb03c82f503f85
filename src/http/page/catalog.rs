//! What is in a backup: databases, and their tables with rows and bytes, the largest first.

use std::cmp::Reverse;

use maud::{Markup, html};

use crate::catalog::{Catalog, Database, Table};
use crate::config::units::{format_bytes, format_count};

/// Tables listed of all databases together: a page of a hundred thousand helps nobody.
const LISTED: usize = 500;

pub(super) fn render(catalog: &Catalog) -> Markup {
    let mut left = LISTED;
    html! {
        p {
            (catalog.databases.len()) " databases, " (format_count(catalog.tables())) " tables, " (format_count(catalog.rows())) " rows, "
            (format_bytes(catalog.bytes)) " of dump"
            @if !catalog.roles.is_empty() { ", " (catalog.roles.len()) " roles" }
            @if !catalog.tablespaces.is_empty() { ", " (catalog.tablespaces.len()) " tablespaces" }
        }
        @for database in &catalog.databases {
            (database_of(database, &mut left))
        }
    }
}

fn database_of(database: &Database, left: &mut usize) -> Markup {
    let mut tables: Vec<&Table> = database.tables.iter().collect();
    tables.sort_by_key(|table| Reverse(table.bytes));
    let listed = tables.get(..*left).unwrap_or(&tables);
    *left -= listed.len();
    let more = tables.len() - listed.len();
    html! {
        h3 { (database.label()) }
        p.quiet {
            (tables.len()) " tables, " (format_count(database.rows())) " rows, encoding " (database.encoding)
            @if !database.extensions.is_empty() { ", extensions " (database.extensions.join(", ")) }
            @if database.large_objects.count > 0 {
                ", " (database.large_objects.count) " large objects (" (format_bytes(database.large_objects.bytes)) ")"
            }
        }
        @if !listed.is_empty() {
            div.wide tabindex="0" role="region" aria-label={ "Tables of " (database.label()) } {
                table {
                    thead { tr { th scope="col" { "Table" } th.number scope="col" { "Rows" } th.number scope="col" { "Data" } } }
                    tbody { @for table in listed {
                        tr {
                            th.name scope="row" { (table.schema) "." (table.name) }
                            td.number { (format_count(table.rows)) }
                            td.number { (format_bytes(table.bytes)) }
                        }
                    } }
                }
            }
        }
        @if more > 0 { p { "And " (more) " smaller ones: " code { "pgvigil inspect" } " lists all." } }
    }
}

//! One table of a backup into a live database, and nothing else in it changes.

mod beside;
mod faults;
mod rows;
mod stand;

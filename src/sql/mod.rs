//! The dump language: bytes in, events out. No I/O.
//!
//! What pg_dump and pg_dumpall write (plain format, any version from 9.6) is SQL statements, `--` comment lines, COPY data
//! and a few backslash commands. The accepted grammar:
//!
//! ```text
//! dump      = { blank | comment | meta | statement | copy }
//! comment   = "--" text LF                          the TOC headers and the begin and end markers
//! meta      = "\connect" … LF | "\restrict" KEY LF | "\unrestrict" KEY LF | "\encoding SQL_ASCII" LF
//! statement = SQL text up to ";" outside of quotes, parentheses and BEGIN ATOMIC bodies
//! copy      = "COPY" name [columns] "FROM stdin;" LF { row LF } "\." LF
//! ```
//!
//! Anything else is reported as what it is, and nobody downstream runs it. [`scanner`] finds the borders,
//! [`statement`] says what a statement is, [`object`] what it defines, [`reach`] how far it reaches, [`meta`], [`copy`],
//! [`insert`] and [`toc`] read the parts, [`name`] quotes and unquotes.
//! Comments are hints, never truth: what a statement does is read from the statement.

pub mod build;
pub mod copy;
pub mod encoding;
pub mod insert;
mod lexer;
pub mod meta;
pub mod name;
pub mod object;
pub mod reach;
pub mod rename;
pub mod roles;
pub mod scanner;
pub mod statement;
mod subscription;
pub mod tablespace;
pub mod toc;
pub mod token;

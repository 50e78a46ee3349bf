//! Writes the manual pages: crossfoot(1), and one for each command, from the texts of `--help`.

use std::io;
use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use crossfoot::options;

use crate::args;
use crate::failure::Failure;

/// Writes the pages into `folder`.
pub fn write(folder: &Path) -> Result<(), Failure> {
    let pages = || -> io::Result<()> {
        let mut line = args::line();
        line.build();
        for command in line.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
            // clap takes only static names. The process ends soon, so the leak does not matter.
            let name: &'static str = format!("crossfoot-{}", command.get_name()).leak();
            let page = command.clone().name(name).display_name(name).version(env!("CARGO_PKG_VERSION"));
            let mut text = Vec::new();
            Man::new(page).render(&mut text)?;
            see(&["crossfoot(1)"]).to_writer(&mut text)?;
            put(folder, name, &text)?;
        }
        let mut text = Vec::new();
        Man::new(line).render(&mut text)?;
        environment().to_writer(&mut text)?;
        see(&["crossfoot(3)", "malloc(3)", "ld.so(8)"]).to_writer(&mut text)?;
        put(folder, "crossfoot", &text)
    };
    pages().map_err(|e| Failure::refused(format!("cannot write manual pages to '{}': {e}", folder.display())))
}

/// Writes a page. Renames clap's section EXTRA to NOTES, and replaces ellipses, which some terminals' encodings lack.
fn put(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(text).replace(".SH EXTRA", ".SH NOTES").replace('…', "...");
    std::fs::write(folder.join(format!("{name}.1")), text)
}

/// Returns the section ENVIRONMENT, from the table that the allocator reads its options by.
fn environment() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    roff.control("TP", []);
    roff.text([bold("CROSSFOOT")]);
    roff.text([roman("name:value,… Options of the allocator, read once, in the first allocation:")]);
    for row in options::TABLE {
        roff.control("TP", []);
        roff.text([bold(row.name), roman(format!(":{} (default {})", row.range, row.default))]);
        roff.text([roman(row.help)]);
    }
    roff.control("TP", []);
    roff.text([bold("CROSSFOOT_LIB")]);
    roff.text([roman("The path of libcrossfoot.so, if it is neither beside the command nor in ../lib from there.")]);
    roff
}

/// Returns the section SEE ALSO.
fn see(pages: &[&str]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
    roff
}

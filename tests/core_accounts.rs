//! The accounts: a balance that would be wrong ends the process, with its values; docs/books.md lists them all.

use std::panic::catch_unwind;

use crossfoot::stats::{ACCOUNTS, Account, Accounts, Delta};

/// Returns the fatal line of `act`.
fn line_of(act: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(act).expect_err("nothing ended the test");
    payload.downcast_ref::<String>().cloned().expect("a formatted line")
}

#[test]
fn a_balance_below_zero() {
    let below = line_of(|| {
        let (accounts, mut entry) = (Accounts::new(), Delta::new());
        accounts.mapped(Account::SpanSys, 4096, &mut entry);
        accounts.unmapped(Account::SpanSys, 8192, &mut entry);
    });
    assert_eq!(below, "crossfoot: account span_sys underflows: 4096 - 8192");
    let moved = line_of(|| Accounts::new().transfer(Account::HeapFree, Account::HeapInUse, 1, &mut Delta::new()));
    assert_eq!(moved, "crossfoot: account heap_free underflows: 0 - 1");
    let ready = line_of(|| Accounts::new().no_longer_ready(1, &mut Delta::new()));
    assert_eq!(ready, "crossfoot: account mapped_ready underflows: 0 - 1");
}

#[test]
fn a_balance_beyond_all_addresses() {
    let over = line_of(|| {
        let (accounts, mut entry) = (Accounts::new(), Delta::new());
        accounts.mapped(Account::OtherSys, usize::MAX, &mut entry);
        accounts.mapped(Account::OtherSys, 1, &mut entry);
    });
    assert_eq!(over, format!("crossfoot: account other_sys overflows: {} + 1", usize::MAX));
}

const BEGIN: &str = "<!-- generated from src/stats/kinds.rs; CROSSFOOT_BLESS=1 cargo test --test core_accounts -->\n";
const END: &str = "<!-- end of the generated part -->\n";

#[test]
fn the_document_lists_every_account() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/books.md");
    let text = std::fs::read_to_string(path).expect(path);
    let (head, rest) = text.split_once(BEGIN).expect("docs/books.md lost the line where the generated part begins");
    let (shown, tail) = rest.split_once(END).expect("docs/books.md lost the line where the generated part ends");
    let mut fresh = format!("The {ACCOUNTS} accounts:\n\n| account | content |\n|---|---|\n");
    for account in Account::ALL {
        fresh += &format!("| `{}` | {} |\n", account.name(), account.content());
    }
    if std::env::var_os("CROSSFOOT_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path, format!("{head}{BEGIN}{fresh}{END}{tail}")).expect(path);
    } else {
        assert!(shown == fresh, "docs/books.md lists other accounts; CROSSFOOT_BLESS=1 writes it anew:\n{fresh}");
    }
}

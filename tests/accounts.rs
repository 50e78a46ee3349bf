//! That an account whose balance would be wrong ends the process, with the values.

use std::panic::catch_unwind;

use crossfoot::stats::{Account, Accounts, Delta};

/// The line that `act` ends the test with.
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

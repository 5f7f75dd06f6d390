//! What is kept by default whatever rotates it: trails, dumps, backups, and what databases and logins write. A person who
//! wants some of it given up declares it.

use crate::linux::domain::disk::clean::pattern::matches;

/// Names of logs and of folders on their way, in small letters.
const PRECIOUS: &[&str] = &[
    "audit*",
    "*dump*",
    "*backup*",
    "*.bak",
    "*.bak.*",
    "*.sql",
    "*.sql.*",
    "*.sqlite*",
    "*.db",
    "*.rdb",
    "*.aof",
    "*.tar",
    "*.tar.*",
    "wtmp*",
    "btmp*",
    "utmp*",
    "lastlog*",
    "faillog*",
    "tallylog*",
    "*binlog*",
    "*-bin",
    "*-bin.*",
    "pg_*",
    "*-wal",
    "journal",
    "*.journal*",
    "current",
    "@4*",
];

/// Whether a log is kept with all its rotations.
pub(super) fn is_precious(path: &str) -> bool {
    let is_one = |name: &str| PRECIOUS.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()));
    path.to_ascii_lowercase().split('/').any(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trails_dumps_and_what_databases_write_are_precious_and_usual_logs_are_not() {
        for path in [
            "/var/log/audit/audit.log",
            "/var/log/pgdump/shop",
            "/var/log/app/db.SQL",
            "/var/log/x.bak",
            "/var/log/wtmp",
            "/var/log/btmp",
            "/var/log/lastlog",
            "/var/log/mysql/mysql-bin.index",
            "/var/log/mysql/binlog.000012",
            "/var/log/pg_wal/0000000100000001",
            "/var/log/svlog/current",
            "/var/log/Backups/app.log",
        ] {
            assert!(is_precious(path), "{path}");
        }
        for path in ["/var/log/syslog", "/var/log/payments/tx.log", "/var/log/nginx/access.log", "/var/log/dpkg.log"] {
            assert!(!is_precious(path), "{path}");
        }
    }
}

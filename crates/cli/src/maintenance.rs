//! The words of the commands about maintenance windows. What they do stands in `command/`.

use clap::Subcommand;

use crate::{ConsentArgs, fleet::WideScopeArgs};

/// What is said of maintenance windows.
#[derive(Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Open a maintenance window; it ends by itself.
    Start {
        #[command(flatten)]
        scope: WideScopeArgs,
        /// For how long, as 2h, or until when, as 18:30, 'tomorrow 08:00' or 2030-01-31T08:00:00Z. `--until` is the same.
        #[arg(long = "for", alias = "until", value_name = "WHEN", default_value = "1h", allow_hyphen_values = true)]
        lasts: String,
        /// Why; it is shown wherever the window stops something.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// End the maintenance windows that were opened on these targets.
    End {
        #[command(flatten)]
        scope: WideScopeArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// List the maintenance windows that are open, those of the configuration as well.
    List {
        /// Only those in which these targets are: names or parts of them.
        targets: Vec<String>,
    },
}

//! How much of everything there may be. Whatever comes over the link or from people is counted against these before it is kept.

use std::time::Duration;

/// Most hosts of a fleet.
pub const HOSTS_MAX: usize = 20_000;
/// Most live sessions of one identity; more are refused.
pub const SESSIONS_OF_HOST_MAX: usize = 4;
/// A connection that says nothing for so long while its host has another is gone: one that is there says each ten seconds that
/// it is.
pub const GONE_AFTER: Duration = Duration::from_secs(20);
/// Most hosts that wait for a person.
pub const PENDING_MAX: usize = 256;
/// How long a host waits for a person before it is forgotten.
pub const PENDING_FOR: Duration = Duration::from_secs(86_400);
/// How long a host that waits for a person waits before it asks again.
pub const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Most rejected keys that are remembered; the oldest go first, and may ask anew.
pub const REJECTED_MAX: usize = 256;
/// Most tokens, those that have ended included.
pub const TOKENS_MAX: usize = 10_000;
/// How long a token that has ended, and a certificate that was taken back, is remembered; so is one that has ended by itself,
/// when its host has used a later one.
pub const ENDED_KEPT_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How often what has ended is looked for.
pub const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// Most certificates of one host that are remembered beside those in use; the oldest go first.
pub const IDENTITIES_OF_HOST_MAX: usize = 8;
/// Most hosts that may join by one token.
pub const TOKEN_USES_MAX: u32 = 10_000;
/// The longest life of a token.
pub const TOKEN_LASTS_MAX: Duration = Duration::from_secs(30 * 86_400);
/// The longest life of a token of the API.
pub const API_TOKEN_LASTS_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Longest name of the owner of one.
pub const OWNER_BYTES_MAX: usize = 100;
/// When a token of the API was used last is kept this often.
pub const USED_EVERY: Duration = Duration::from_secs(60);
/// Most certificates that are being signed at once.
pub const ISSUING_MAX: usize = 1_000;
/// Most targets of one host; what it tells beyond is not kept.
pub const TARGETS_OF_HOST_MAX: usize = 10_000;
/// Most open incidents of one host; what it tells beyond is not kept.
pub const OPEN_OF_HOST_MAX: usize = 1_000;
/// Most commands of operators whose acknowledgement is awaited at once; the oldest is answered early then.
pub const WAITING_MAX: usize = 64;
/// How long an operator waits for hosts to acknowledge before those that have not are named.
pub const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);
/// How long hosts have to say what came of an order before those that have not are named. They do nothing that was longer on its
/// way than [`ansai_model::order::ORDER_LATE`], which is less.
pub const ORDERED_WITHIN: Duration = Duration::from_secs(15);
/// Most hosts that are asked a question at once: each may have much to say.
pub const ASKED_MAX: usize = 32;
/// Most incidents to which somebody says at once that he sees.
pub const SEEN_TO_MAX: usize = 1_000;
/// Most hosts and most targets that an answer names; it counts the rest.
pub const NAMED_MAX: usize = 100;
/// A host of which nothing was heard for so long is silent.
pub const SILENT_AFTER: Duration = Duration::from_secs(60);
/// Hosts that fall silent within so long of the first have one incident.
pub const SILENT_TOGETHER: Duration = Duration::from_secs(30);
/// An older session of an identity that speaks so long after a newer one came is no remnant: there are two hosts.
pub const TWINS_AFTER: Duration = Duration::from_secs(5);
/// How long twins that cannot be held stand back when they are told to.
pub const STAND_BACK_FOR: Duration = Duration::from_secs(30);
/// How often they are told to, until they are held.
pub const STAND_BACK_EVERY: Duration = Duration::from_secs(10);
/// After a failed save it is tried this often whether one works again.
pub const SAVE_AGAIN: Duration = Duration::from_secs(5);
/// Most configurations of the fleet that are kept, with how they came to the hosts; the oldest go first.
pub const ROLLOUTS_MAX: usize = 20;
/// How long a host that was told a configuration has until it is in force there, or refused.
pub const CONFIGURED_WITHIN: Duration = Duration::from_secs(60);
/// The longest that a wave of a roll-out is watched before the next.
pub const SOAK_MAX: Duration = Duration::from_secs(7 * 86_400);
/// When a host was heard last is saved this often: it is known again after a restart, and a row for each beat would be most of
/// what a controller writes.
pub const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// It is this often while hosts are silent: after a restart it tells which of them belong to an incident.
pub const REFRESH_IN_SILENCE: Duration = Duration::from_secs(10);
/// Most of those at once.
pub const REFRESH_MAX: usize = 1_000;
/// Before so many of a hundred hosts have reported to a controller that has begun, it permits nothing.
pub const REPORTED_PERCENT: usize = 90;
/// It waits no longer for them than this.
pub const REPORTED_WITHIN: Duration = Duration::from_secs(300);
/// The shortest and the longest lease of a permit.
pub const PERMIT_LASTS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(4 * 3_600));
/// How much later than its holder the controller takes a permit for ended.
pub const PERMIT_MARGIN: Duration = Duration::from_secs(15);
/// What a host wants, and how it says it stands, counts for so long: it says both each ten seconds while there is something.
pub const PERMIT_SAID_FOR: Duration = Duration::from_secs(35);
/// Most permits of a fleet at once.
pub const PERMITS_MAX: usize = 1_000;
/// How long nothing can be kept before people are told: a disk that is full for a moment is everyday.
pub const TROUBLE_TOLD_AFTER: Duration = Duration::from_secs(60);
/// Most messages of hosts that wait to be told, of all of them and of one: those beyond are told by the hosts themselves.
pub const MESSAGES_MAX: usize = 2_000;
/// Of one host.
pub const MESSAGES_OF_HOST_MAX: usize = 64;
/// Most bytes of them, as JSON: a report may be a hundred times as long as most are.
pub const MESSAGES_BYTES_MAX: u64 = 32 << 20;
/// Of one host; four of the largest that it may give.
pub const MESSAGES_OF_HOST_BYTES_MAX: u64 = 1 << 20;
/// How long a message that is urgent waits for other hosts with the same cause: with what it may wait before it is wanted
/// (`ansai_notify::outbox::duty::OFFER_WAIT`), and a second until it is looked at, it is within 5 s.
pub const GATHER_URGENT: Duration = Duration::from_secs(2);
/// The same of one that is not.
pub const GATHER: Duration = Duration::from_secs(30);
/// The same when people were told of the cause already, so that hosts that follow one by one are not told one by one.
pub const GATHER_AGAIN: Duration = Duration::from_secs(30);
/// For so long people know of a cause.
pub const KNOWN_FOR: Duration = Duration::from_secs(600);
/// Most causes that are remembered so.
pub const KNOWN_CAUSES_MAX: usize = 1_000;
/// How long it is waited to hear that a message is in the outbox before that is asked for again.
pub const TELL_AGAIN: Duration = Duration::from_secs(30);

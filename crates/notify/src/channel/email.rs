//! Mail: a report as plain text and HTML in one message, all messages of an incident in one thread.

use std::{path::Path, time::Duration};

use ansai_host::linux::aside::{self, Kind, Work};
use ansai_model::{
    notify::{Email, Notice, SmtpSecurity},
    time::Shown,
};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor,
    address::Envelope,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use thiserror::Error;
use tokio::time::Instant;

use super::{
    chain, payload,
    render::{self, RenderOptions},
};
use crate::{
    durable::read_bounded,
    outbox::{DeliverError, Message, Receipt},
    secrets::Resolver,
};

/// Longest wait for a file of authorities.
const CA_TIME: Duration = Duration::from_secs(5);
/// Each answer of the server within this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The whole conversation within this time.
const TIMEOUT: Duration = Duration::from_secs(60);
const CA_BYTES_MAX: u64 = 1 << 20;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Why a mail could not be written; another try gives the same.
#[derive(Debug, Error)]
pub enum BuildError {
    /// An address is none.
    #[error("`{address}` is not a mail address")]
    Address {
        /// What was written.
        address: String,
        /// What is wrong with it.
        #[source]
        source: lettre::address::AddressError,
    },
    /// The parts do not fit together.
    #[error("the mail cannot be put together")]
    Mail(#[source] lettre::error::Error),
}

/// Says that no person wrote it, so that no robot answers.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Sends a message by mail to all recipients but `done`. Where the server has something against one of them, each is asked for
/// alone: one who is refused must keep the mail from nobody else.
pub(super) async fn send(
    email: &Email,
    message: &Message,
    render: &RenderOptions,
    secrets: &Resolver,
    done: &[String],
) -> Result<Receipt, DeliverError> {
    let never = |error: BuildError| DeliverError::Never(chain(&error));
    let mail = build(email, message, render).map_err(never)?;
    let transport = transport(email, render, secrets).await?;
    let left: Vec<&String> = email.to.iter().filter(|to| !done.contains(to)).collect();
    let deadline = Instant::now() + TIMEOUT;
    match hand_over(&transport, &mail, &left, deadline).await {
        Ok(()) => Ok(Receipt { served: left.into_iter().cloned().collect(), ..Receipt::default() }),
        // Where others have it already, who is left is no reason to hold the route up.
        Err(refusal) if refusal.is_of_a_recipient && (left.len() > 1 || !done.is_empty()) => {
            let receipt = alone(&transport, &mail, &left, deadline).await;
            if done.is_empty() && receipt.served.is_empty() { Err(nobody(receipt)) } else { Ok(receipt) }
        }
        Err(refusal) => Err(refusal.error),
    }
}

/// Greets the server as for a mail, with the password where there is one, and sends none.
pub(super) async fn reach(email: &Email, render: &RenderOptions, secrets: &Resolver) -> Result<(), DeliverError> {
    match transport(email, render, secrets).await?.test_connection().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(DeliverError::Later("the server ends the conversation".to_owned())),
        Err(error) => Err(DeliverError::Later(chain(&error))),
    }
}

/// Hands a mail over to each recipient by itself.
async fn alone(transport: &Transport, mail: &Mail, recipients: &[&String], deadline: Instant) -> Receipt {
    let mut receipt = Receipt::default();
    for recipient in recipients {
        match hand_over(transport, mail, &[recipient], deadline).await.map_err(|refusal| refusal.error) {
            Ok(()) => receipt.served.push((*recipient).clone()),
            Err(DeliverError::Never(why)) => receipt.refused.push(((*recipient).clone(), why)),
            Err(DeliverError::Later(why)) => receipt.waiting.push(((*recipient).clone(), why)),
        }
    }
    receipt
}

/// Nobody was told: that is the route's failure, which a fallback may mend.
fn nobody(receipt: Receipt) -> DeliverError {
    let words = |refused: Vec<(String, String)>| {
        refused.into_iter().map(|(who, why)| format!("{who}: {why}")).collect::<Vec<_>>().join("; ")
    };
    match receipt.waiting.is_empty() {
        true => DeliverError::Never(words(receipt.refused)),
        false => DeliverError::Later(words(receipt.waiting)),
    }
}

/// Why a mail was not taken over.
struct Refusal {
    error: DeliverError,
    /// Whether it may be said of one recipient and not of another (RFC 5321, section 4.3.2; 450 to 452 and 550 to 555).
    is_of_a_recipient: bool,
}

async fn hand_over(transport: &Transport, mail: &Mail, to: &[&String], deadline: Instant) -> Result<(), Refusal> {
    let plain = |error| Refusal { error, is_of_a_recipient: false };
    let never = |error: BuildError| plain(DeliverError::Never(chain(&error)));
    let mailboxes = to.iter().map(|to| mailbox(to).map(|mailbox| mailbox.email));
    let addresses = mailboxes.collect::<Result<Vec<Address>, _>>().map_err(never)?;
    let envelope = Envelope::new(mail.envelope().from().cloned(), addresses);
    let envelope = envelope.map_err(|error| plain(DeliverError::Never(chain(&error))))?;
    match tokio::time::timeout_at(deadline, transport.send_raw(&envelope, &mail.formatted())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let code = error.status().map(u16::from);
            let is_of_a_recipient = code.is_some_and(|code| matches!(code, 450..=452 | 550..=555));
            let (is_permanent, why) = (error.is_permanent(), chain(&error));
            let error = if is_permanent { DeliverError::Never(why) } else { DeliverError::Later(why) };
            Err(Refusal { error, is_of_a_recipient })
        }
        Err(_) => Err(plain(DeliverError::Later(format!("no end of the conversation within {}", Shown(TIMEOUT))))),
    }
}

/// Puts a mail together.
///
/// # Errors
/// When an address is none.
pub fn build(email: &Email, message: &Message, render: &RenderOptions) -> Result<Mail, BuildError> {
    let domain = domain(&render.sender);
    let from = match &email.from {
        Some(from) => mailbox(from)?,
        None => mailbox(&format!("ansai@{domain}"))?,
    };
    let (text, html) = match message {
        Message::One(notice) => (render::text(&notice.report, render), render::html(&notice.report, render)),
        Message::Digest(notices) => (render::digest_text(notices, render), render::digest_html(notices, render)),
        Message::Test(test) => (render::test_text(test, render), render::test_html(test, render)),
    };
    let mut builder = Mail::builder()
        .from(from)
        .subject(payload::subject(message, render))
        .message_id(Some(message_id(message, &domain)))
        .header(AutoSubmitted);
    for to in &email.to {
        builder = builder.to(mailbox(to)?);
    }
    if let Message::One(notice) = message {
        let root = thread_id(notice, &domain);
        builder = builder.in_reply_to(root.clone()).references(root);
    }
    builder.multipart(MultiPart::alternative_plain_html(text, html)).map_err(BuildError::Mail)
}

fn mailbox(address: &str) -> Result<Mailbox, BuildError> {
    address.parse().map_err(|source| BuildError::Address { address: address.to_owned(), source })
}

/// The host's name as the domain of an address; a name that is none becomes `localhost`.
fn domain(host: &str) -> String {
    let is_fine = |label: &str| {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(is_letter) && !label.starts_with('-') && !label.ends_with('-')
    };
    if host.len() <= 253 && host.split('.').all(is_fine) { host.to_owned() } else { "localhost".to_owned() }
}

/// The thread that all messages about an incident answer to. No message has this id itself: the first one that
/// arrives may be any.
fn thread_id(notice: &Notice, domain: &str) -> String {
    format!("<ansai.{}.{}@{domain}>", notice.report.incident, notice.report.opened.wall.0)
}

/// The same for each try of a message, so that a receiver can drop one that arrived twice.
fn message_id(message: &Message, domain: &str) -> String {
    let of = |notice: &Notice| {
        let kind = render::kind_word(notice.kind).replace(' ', "-");
        format!("{}.{}.{kind}.{}", notice.report.incident, notice.report.opened.wall.0, notice.at.wall.0)
    };
    match message {
        Message::One(notice) => format!("<ansai.{}@{domain}>", of(notice)),
        Message::Digest(notices) => {
            let ends = notices.first().into_iter().chain(notices.last()).map(of).collect::<Vec<_>>().join(".");
            format!("<ansai.digest.{}.{ends}@{domain}>", notices.len())
        }
        Message::Test(test) => format!("<ansai.test.{}@{domain}>", test.at.0),
    }
}

async fn transport(email: &Email, render: &RenderOptions, secrets: &Resolver) -> Result<Transport, DeliverError> {
    let tls = match email.security {
        SmtpSecurity::None => Tls::None,
        SmtpSecurity::Starttls => Tls::Required(tls_parameters(email).await?),
        SmtpSecurity::Tls => Tls::Wrapper(tls_parameters(email).await?),
    };
    let mut builder = Transport::builder_dangerous(email.host.as_str())
        .port(email.port)
        .hello_name(ClientId::Domain(domain(&render.sender)))
        .timeout(Some(ANSWER_TIMEOUT))
        .tls(tls);
    if let (Some(user), Some(reference)) = (&email.user, &email.password) {
        if email.security == SmtpSecurity::None {
            // The configuration refuses it as well; a password in the clear is worth a second look.
            return Err(DeliverError::Never("a password is not sent without TLS".to_owned()));
        }
        let password = secrets.fetch(reference).await?;
        builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
    }
    Ok(builder.build())
}

async fn tls_parameters(email: &Email) -> Result<TlsParameters, DeliverError> {
    let later = |error: &dyn std::error::Error| DeliverError::Later(format!("TLS: {}", chain(error)));
    let mut builder = TlsParameters::builder(email.host.clone());
    if let Some(path) = &email.ca_file {
        let (work, asked) = (Work::new(Kind::Own, path).on([path]), path.clone());
        let read = aside::run(work, CA_TIME, move || read_bounded(Path::new(&asked), CA_BYTES_MAX)).await;
        let pem = read
            .map_err(|late| DeliverError::Later(late.to_string()))?
            .map_err(|error| DeliverError::Later(format!("{path}: {error}")))?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| later(&error))?);
    }
    builder.build_rustls().map_err(|error| later(&error))
}

#[cfg(test)]
mod tests;

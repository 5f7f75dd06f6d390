//! Gates: all of them are asked about every action, and all of their reasons are kept.
//! A gate is a function of what is known; it gets a view and can change nothing. To add one: a variant of `model::decision::Gate`, a
//! function beside its kin in `gate/`, a line in [`evaluate`].

use alloc::vec::Vec;

use ansai_model::{
    decision::{Choice, Decision, Gate, GateResult, Verdict},
    text::Text,
    time::Now,
};

use self::proposal::Proposal;

pub(crate) mod concurrency;
pub(crate) mod context;
pub(crate) mod limits;
pub(crate) mod operator;
mod permit;
pub(crate) mod proposal;
mod quiet_hours;

/// Asks every gate.
pub(crate) fn evaluate(proposal: &Proposal<'_>, what: Text) -> Decision {
    // Autonomy is asked last: whether a person is asked depends on what else objects.
    let others = Gate::ALL.into_iter().filter(|gate| *gate != Gate::Autonomy);
    let mut gates: Vec<GateResult> = others.map(|gate| ask(proposal, gate, &[])).collect();
    gates.push(ask(proposal, Gate::Autonomy, &gates));
    gates.sort_unstable_by_key(|result| result.gate);
    let choice = choose(&gates);
    let until = gates.iter().filter_map(|result| deferred_until(result.verdict)).max();
    Decision { at: proposal.view.now, proposal: what, choice, until, gates }
}

/// Asks one gate; `others` have been asked before it.
fn ask(proposal: &Proposal<'_>, gate: Gate, others: &[GateResult]) -> GateResult {
    let (verdict, why) = match gate {
        Gate::Hold => operator::hold(proposal),
        Gate::Maintenance => operator::maintenance(proposal),
        Gate::Intent => operator::intent(proposal),
        Gate::Autonomy => operator::autonomy(proposal, others),
        Gate::Cooldown => limits::cooldown(proposal),
        Gate::TargetBudget => limits::target_budget(proposal),
        Gate::HostBudget => limits::host_budget(proposal),
        Gate::CircuitBreaker => limits::circuit_breaker(proposal),
        Gate::BackOff => limits::back_off(proposal),
        Gate::Ledger => context::ledger(proposal),
        Gate::Existence => context::existence(proposal),
        Gate::Dependency => context::dependency(proposal),
        Gate::Quiet => quiet_hours::quiet(proposal),
        Gate::Concurrency => concurrency::concurrency(proposal),
        Gate::Permit => permit::permit(proposal),
    };
    GateResult { gate, verdict, why }
}

/// One deferral defers, and a person is told only when nothing else will happen: a denial under a hold waits for it.
fn choose(gates: &[GateResult]) -> Choice {
    let is_deferred = gates.iter().any(|result| matches!(result.verdict, Verdict::Defer { .. }));
    let denials = || gates.iter().filter(|result| result.verdict == Verdict::Deny);
    let is_denied = denials().next().is_some();
    if is_denied && denials().all(|result| result.gate == Gate::Autonomy) {
        return Choice::Deny;
    }
    match (is_deferred, is_denied) {
        (true, _) => Choice::Defer,
        (false, true) => Choice::Escalate,
        (false, false) => Choice::Act,
    }
}

/// Whether all that is missing is an operator's word.
pub(crate) fn only_autonomy_defers(decision: &Decision) -> bool {
    let mut objections = decision.objections().peekable();
    objections.peek().is_some() && objections.all(|objection| objection.gate == Gate::Autonomy)
}

fn deferred_until(verdict: Verdict) -> Option<Now> {
    match verdict {
        Verdict::Defer { until } => until,
        Verdict::Allow | Verdict::Deny => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(verdicts: &[(Gate, Verdict)], choice: Choice) {
        let gates: Vec<_> = verdicts
            .iter()
            .map(|(gate, verdict)| GateResult { gate: *gate, verdict: *verdict, why: "".into() })
            .collect();
        assert_eq!(choose(&gates), choice);
    }

    #[test]
    fn one_objection_is_enough_and_waiting_comes_before_telling() {
        let defer = Verdict::Defer { until: None };
        check(&[(Gate::Hold, Verdict::Allow)], Choice::Act);
        check(&[(Gate::Hold, defer), (Gate::Cooldown, Verdict::Allow)], Choice::Defer);
        check(&[(Gate::Autonomy, Verdict::Deny)], Choice::Deny);
        check(&[(Gate::Autonomy, Verdict::Deny), (Gate::TargetBudget, Verdict::Deny)], Choice::Escalate);
        check(&[(Gate::Hold, defer), (Gate::TargetBudget, Verdict::Deny)], Choice::Defer);
    }
}

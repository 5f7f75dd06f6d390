//! How a configuration comes to many hosts: the canary first, then waves that double, each watched for a while before the next.
//! It stops by itself when a host refuses it, does not answer, is not heard any more, or has an incident that it had not
//! before. What went before comes back as a new generation: generations never go back.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    text::Text,
    time::{Shown, WallTime},
};
use ansai_protocol::{
    link::{FILES_BYTES_MAX, FILES_MAX, FleetFile, Held, HostBundle, HostId},
    operation::{Canary, FleetAnswer},
    record::{BundleRecord, HostRollout, Progress, Record, RolloutRecord, RolloutState},
};

use crate::{
    FleetEngine,
    books::key,
    configuration::chosen,
    incidents::About,
    limits::{CONFIGURED_WITHIN, ROLLOUTS_MAX, SOAK_MAX},
    words,
};

/// What a host would get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The host.
    pub host: HostId,
    /// In which wave it would come, from 0; none when it gets it when it comes back.
    pub wave: Option<usize>,
    /// Whether what it gets is another thing than what it has.
    pub is_changed: bool,
    /// The files that it gets.
    pub files: Vec<FleetFile>,
}

/// A roll-out before it begins.
struct Wanted {
    files: Vec<FleetFile>,
    reverts: Option<u64>,
    waves: Vec<Vec<HostId>>,
    soak: Duration,
}

impl FleetEngine {
    fn newest_rollout(&self) -> Option<&RolloutRecord> {
        self.books.rollouts.values().next_back()
    }

    fn is_known(&self, host: HostId) -> bool {
        self.books.hosts.contains_key(&host)
    }

    fn is_there(&self, host: HostId) -> bool {
        self.sessions_of(host).next().is_some() && !self.is_silent(host)
    }

    /// What each host would get, in the order of their names.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn plan(&self, files: &[FleetFile], canary: Canary) -> Result<Vec<Planned>, FleetAnswer> {
        let waves = self.waves(files, canary)?;
        let mut wave_of: BTreeMap<HostId, usize> = BTreeMap::new();
        for (number, wave) in waves.iter().enumerate() {
            wave_of.extend(wave.iter().filter(|host| self.is_there(**host)).map(|host| (*host, number)));
        }
        let hosts = self.books.names.values().filter_map(|id| self.books.hosts.get(id));
        let plan = hosts.map(|host| Planned {
            host: host.id,
            wave: wave_of.get(&host.id).copied(),
            is_changed: self.is_changed(host.id, files),
            files: chosen(files, &host.name, host.role.as_ref()),
        });
        Ok(plan.collect())
    }

    /// Whether a host would get another thing than it has.
    fn is_changed(&self, host: HostId, files: &[FleetFile]) -> bool {
        let (has, Some(record)) = (self.has(host), self.books.hosts.get(&host)) else { return false };
        let new = chosen(files, &record.name, record.role.as_ref());
        let known = self.books.bundles.get(&has.generation).filter(|bundle| bundle.epoch == has.epoch);
        match known {
            Some(bundle) => chosen(&bundle.files, &has.name, has.role.as_ref()) != new,
            // Of one that is kept no more nobody knows what it said.
            None => has.generation > 0 || !new.is_empty(),
        }
    }

    /// Which hosts come together: of those for which something changes first the canary, then each time twice as many; the
    /// others last. Those that are well go first: on one that is not, nobody sees whether it became worse.
    fn waves(&self, files: &[FleetFile], canary: Canary) -> Result<Vec<Vec<HostId>>, FleetAnswer> {
        self.may_configure(files)?;
        let hosts = self.books.names.values().copied();
        let (mut changed, same): (Vec<HostId>, Vec<HostId>) = hosts.partition(|host| self.is_changed(*host, files));
        changed.sort_by_key(|host| (!self.is_there(*host), self.books.open_of(Some(*host)).next().is_some()));
        let there = changed.iter().filter(|host| self.is_there(**host)).count();
        if there == 0 && (!changed.is_empty() || !same.iter().any(|host| self.is_there(*host))) {
            let what = "no host for which something changes is connected, so there would be no canary";
            return Err(words::refused(what.into(), "`ansai hosts list` shows since when; apply it when one is back"));
        }
        let mut size = match canary {
            Canary::Hosts(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Canary::Percent(share) => changed.len().saturating_mul(usize::from(share)).div_ceil(100),
        };
        size = size.clamp(1, there.max(1));
        let mut waves = Vec::new();
        let mut rest = changed.as_slice();
        while !rest.is_empty() {
            let (wave, others) = rest.split_at(size.min(rest.len()));
            waves.push(wave.to_vec());
            (rest, size) = (others, size.saturating_mul(2));
        }
        if !same.is_empty() {
            waves.push(same);
        }
        Ok(waves)
    }

    /// Why these files may not be brought to hosts, when they may not.
    fn may_configure(&self, files: &[FleetFile]) -> Result<(), FleetAnswer> {
        if let Some(running) = self.newest_rollout().filter(|rollout| rollout.state == RolloutState::Running) {
            let what = format!("generation {} is on its way to the hosts", running.generation);
            let todo = "wait until it is done (`ansai fleet rollouts`), or end it with `ansai fleet rollback`";
            return Err(words::refused(what, todo));
        }
        if self.books.hosts.is_empty() {
            let what = "the fleet has no hosts".to_owned();
            return Err(words::refused(what, "`ansai token create` makes a token to join one by"));
        }
        let bytes = files.iter().map(|file| file.text.len()).fold(0, usize::saturating_add);
        let whole = HostBundle {
            controller: self.books.controller,
            host: self.books.names.values().next().copied().unwrap_or_else(|| HostId::of_chance([0; 16])),
            held: Held::default(),
            files: files.to_vec(),
        };
        if files.len() > FILES_MAX || bytes > FILES_BYTES_MAX || !whole.fits() {
            let what = format!(
                "{} with {bytes} bytes are too many: at most {FILES_MAX} with {FILES_BYTES_MAX} bytes are taken",
                words::count(files.len(), "file")
            );
            return Err(words::refused(what, "say less, or once for a role in the place of each host"));
        }
        Ok(())
    }

    /// Brings a configuration to the hosts.
    pub(crate) fn configure(&mut self, request: u64, by: &Text, files: Vec<FleetFile>, canary: Canary, soak: Duration) {
        match self.may_apply(&files, canary, soak) {
            Ok(waves) => self.begin_rollout(request, by, Wanted { files, reverts: None, waves, soak }),
            Err(refusal) => self.answer(request, refusal),
        }
    }

    /// The waves in which it would come.
    ///
    /// # Errors
    /// Why it would be refused.
    pub(crate) fn may_apply(
        &self,
        files: &[FleetFile],
        canary: Canary,
        soak: Duration,
    ) -> Result<Vec<Vec<HostId>>, FleetAnswer> {
        if soak > SOAK_MAX {
            let what = format!("a wave is watched for at most {}, not for {}", Shown(SOAK_MAX), Shown(soak));
            return Err(words::refused(what, "write for how long, as --soak 10m"));
        }
        let waves = self.waves(files, canary)?;
        let newest = self.newest_rollout().filter(|rollout| rollout.state == RolloutState::Done);
        let newest = newest.and_then(|rollout| self.books.bundles.get(&rollout.generation));
        if let Some(newest) = newest.filter(|newest| newest.files == *files) {
            let what = format!("generation {} says exactly this already", newest.generation);
            return Err(words::refused(what, "`ansai fleet drift` shows the hosts that do not have it"));
        }
        Ok(waves)
    }

    /// Brings back what was there before, to those that have the newest first, without a canary: it has been there.
    pub(crate) fn roll_back(&mut self, request: u64, by: &Text) {
        let wanted = match self.may_roll_back() {
            Ok(wanted) => wanted,
            Err(refusal) => return self.answer(request, refusal),
        };
        let running = self.newest_rollout().filter(|rollout| rollout.state == RolloutState::Running).cloned();
        if let Some(running) = running {
            let why = Text::new(format!("{by} brought back what was there before"));
            self.put(Record::Rollout(RolloutRecord { state: RolloutState::Stopped { why }, ..running }));
        }
        self.begin_rollout(request, by, wanted);
    }

    fn may_roll_back(&self) -> Result<Wanted, FleetAnswer> {
        let Some(newest) = self.newest_rollout() else {
            let what = "the fleet has no configuration yet".into();
            return Err(FleetAnswer::NotFound { what, suggestion: "`ansai fleet apply PATH` brings one".into() });
        };
        let mut older = self.books.rollouts.range(..newest.generation).rev().map(|(_, rollout)| rollout);
        let before = older.find(|rollout| rollout.state == RolloutState::Done);
        let before = before.and_then(|rollout| self.books.bundles.get(&rollout.generation));
        let files = before.map(|bundle| bundle.files.clone()).unwrap_or_default();
        let now = self.books.bundles.get(&newest.generation);
        if newest.state == RolloutState::Done && now.is_some_and(|now| now.files == files) {
            let what = format!("generation {} says what was there before already", newest.generation);
            return Err(words::refused(what, "`ansai fleet apply PATH` brings another one"));
        }
        let hosts = self.books.names.values().copied();
        let (first, others): (Vec<HostId>, Vec<HostId>) = hosts.partition(|host| newest.hosts.contains_key(host));
        let waves = [first, others].into_iter().filter(|wave| !wave.is_empty()).collect();
        let reverts = Some(before.map_or(0, |bundle| bundle.generation));
        Ok(Wanted { files, reverts, waves, soak: Duration::ZERO })
    }

    /// How many hosts a rollback means.
    ///
    /// # Errors
    /// Why it would be refused.
    pub(crate) fn rehearse_rollback(&self) -> Result<usize, FleetAnswer> {
        self.may_roll_back().map(|wanted| wanted.waves.iter().map(Vec::len).sum())
    }

    fn begin_rollout(&mut self, request: u64, by: &Text, wanted: Wanted) {
        let Wanted { files, reverts, waves, soak } = wanted;
        let generation = self.newest_rollout().map_or(0, |rollout| rollout.generation).saturating_add(1);
        let hosts = waves.iter().map(Vec::len).sum();
        let what = match reverts {
            None => format!("generation {generation} of the configuration"),
            Some(0) => {
                format!("generation {generation} of the configuration, which is empty as it was before the first")
            }
            Some(before) => format!("generation {generation} of the configuration, which is generation {before} again"),
        };
        let comma = if reverts.is_some() { "," } else { "" };
        let text = format!(
            "{what}{comma} is on its way to {} in {}; `ansai fleet rollouts` shows how far it is",
            words::count(hosts, "host"),
            words::count(waves.len(), "wave")
        );
        self.audit(by, format!("began to bring {what}"), hosts);
        self.put(Record::Bundle(BundleRecord { epoch: self.books.epoch, generation, files }));
        let now = self.steady();
        let rollout = RolloutRecord {
            generation,
            reverts,
            by: by.clone(),
            at: now,
            soak_ms: u64::try_from(soak.as_millis()).unwrap_or(u64::MAX),
            waves,
            wave: 0,
            since: now,
            state: RolloutState::Running,
            hosts: BTreeMap::new(),
        };
        self.begin_wave(rollout, 0);
        while self.books.rollouts.len() > ROLLOUTS_MAX {
            let Some(oldest) = self.books.rollouts.keys().next().copied() else { break };
            self.put(Record::RolloutGone(oldest));
        }
        self.answer(request, words::done(text));
    }

    /// Tells the hosts of a wave that are there; the others get it when they come back, once everybody else has it.
    fn begin_wave(&mut self, mut rollout: RolloutRecord, number: usize) {
        let told = self.steady();
        let wave = rollout.waves.get(number).cloned().unwrap_or_default();
        let there: Vec<HostId> = wave.into_iter().filter(|host| self.is_there(*host)).collect();
        for host in &there {
            let before = self.books.open_of(Some(*host)).map(key).collect();
            rollout.hosts.insert(*host, HostRollout { told, progress: Progress::Told, before });
        }
        (rollout.wave, rollout.since) = (number, told);
        self.put(Record::Rollout(rollout));
        // To whom it says the same is told as well: it is another generation.
        there.into_iter().for_each(|host| self.tell_configuration(host));
    }

    /// Goes on with what is under way, or stops it.
    pub(crate) fn watch_rollout(&mut self) {
        let running = self.newest_rollout().filter(|rollout| rollout.state == RolloutState::Running).cloned();
        if let Some(rollout) = running {
            self.go_on(rollout);
        }
        let stopped = self.newest_rollout().and_then(|rollout| match &rollout.state {
            RolloutState::Stopped { why } => Some(Text::new(format!(
                "generation {} of the configuration went to {} and no further: {why}; `ansai fleet rollback` brings back what \
                 was there before",
                rollout.generation,
                words::count(rollout.hosts.len(), "host")
            ))),
            RolloutState::Running | RolloutState::Done => None,
        });
        self.one_own(About::Rollout, stopped);
    }

    /// Notes what the hosts say by now; what is watched is watched from when the last one has it.
    fn note_progress(&mut self, rollout: &mut RolloutRecord) {
        let Some(bundle) = self.books.bundles.get(&rollout.generation) else { return };
        let mut is_news = false;
        for (host, told) in &mut rollout.hosts {
            let Some(progress) = self.progress_of(*host, bundle) else { continue };
            is_news |= progress != told.progress;
            told.progress = progress;
        }
        if is_news {
            rollout.since = self.steady();
            self.put(Record::Rollout(rollout.clone()));
        }
    }

    fn go_on(&mut self, mut rollout: RolloutRecord) {
        self.note_progress(&mut rollout);
        if let Some(why) = self.reason_to_stop(&rollout) {
            let what = format!("stopped generation {} of the configuration: {why}", rollout.generation);
            self.audit(&"the controller".into(), what, rollout.hosts.len());
            return self.put(Record::Rollout(RolloutRecord { state: RolloutState::Stopped { why }, ..rollout }));
        }
        let is_waiting = rollout.hosts.values().any(|told| told.progress == Progress::Told);
        let is_soaked = self.steady().since(rollout.since) >= Duration::from_millis(rollout.soak_ms);
        if is_waiting || !is_soaked {
            return;
        }
        let next = rollout.wave.saturating_add(1);
        if let Some(wave) = rollout.waves.get(next) {
            // Whoever may be back in a moment, as all are after a start of the controller, is waited for.
            if wave.iter().all(|host| self.is_there(*host) || self.is_silent(*host) || !self.is_known(*host)) {
                self.begin_wave(rollout, next);
            }
            return;
        }
        let what = format!("brought generation {} of the configuration to all that are there", rollout.generation);
        self.audit(&"the controller".into(), what, rollout.hosts.len());
        self.put(Record::Rollout(RolloutRecord { state: RolloutState::Done, ..rollout }));
        // Those that came meanwhile, and were in no wave.
        let hosts: Vec<HostId> = self.books.names.values().copied().collect();
        hosts.into_iter().for_each(|host| self.tell_configuration(host));
    }

    /// Why it may not go on, when it may not.
    fn reason_to_stop(&self, rollout: &RolloutRecord) -> Option<Text> {
        let now = self.steady();
        rollout.hosts.iter().find_map(|(host, told)| {
            // One that left the fleet meanwhile says nothing of it.
            let name = &self.books.hosts.get(host)?.name;
            let why = self.is_worse(*host, told, now)?;
            Some(Text::new(format!("{name} {why}")))
        })
    }

    fn is_worse(&self, host: HostId, told: &HostRollout, now: WallTime) -> Option<String> {
        match &told.progress {
            Progress::Refused { why } => return Some(format!("refuses it: {why}")),
            Progress::Told if now.since(told.told) >= CONFIGURED_WITHIN => {
                return Some(format!("has not taken it within {}", Shown(CONFIGURED_WITHIN)));
            }
            Progress::InForce if self.is_silent(host) => return Some("has it, and is not heard any more".into()),
            Progress::Told | Progress::InForce => {}
        }
        let new = self.books.open_of(Some(host)).find(|open| !open.is_drill && !told.before.contains(&key(open)));
        new.map(|new| format!("has had it since, and {} of {}: {}", new.id, new.target, new.headline))
    }
}

//! What goes wrong in a fleet: services die, connections break, hosts are cut off, agents and the controller are killed, disks
//! fill, clocks are set, the controller is brought back from a copy, and a host is cloned.

use std::time::Duration;

use ansai_model::time::WallTime;

use super::{
    host::{SERVICES, SimHost},
    made::Made,
    world::{Event, World},
};

impl World {
    /// Something goes wrong, and something else a while later.
    pub(super) fn trouble(&mut self) -> Result<(), String> {
        if !self.is_in_turmoil {
            return Ok(());
        }
        let wait = Duration::from_millis(50 + self.random.below(1_500));
        self.after(wait, Event::Trouble);
        let index = self.any_host();
        match self.random.below(100) {
            0..45 => self.services_die()?,
            45..52 => self.link_breaks(index),
            52..56 => self.is_cut_off(index),
            56..66 => self.hosts[index].is_cut = false,
            66..68 => (0..self.hosts.len()).filter(|index| index % 2 == 0).for_each(|index| self.is_cut_off(index)),
            68..71 => self.hosts.iter_mut().for_each(|host| host.is_cut = false),
            71..76 => self.agent_dies(index)?,
            76..80 => self.hosts[index].disk_is_full = !self.hosts[index].disk_is_full,
            80..84 => self.controllers_disk_turns(),
            84..87 => self.controller_dies(),
            87..90 if self.controller.is_settled() => self.controller.copy = Some(self.controller.disk.clone()),
            90..91 => self.comes_back_from_copy(true),
            91..92 if self.random.chance(20) => self.comes_back_from_copy(false),
            92..95 => self.is_cloned(index),
            95..97 => self.hosts[index].skew_ms = i64::try_from(self.random.below(7_200_000)).unwrap_or(0) - 3_600_000,
            97..98 => {
                let by = i64::try_from(self.random.below(7_200_000)).unwrap_or(0) - 3_600_000;
                self.now.wall = WallTime(self.now.wall.0 + by);
            }
            98..99 => self.on_host(index, |host, _, _| {
                host.is_configured_anew();
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    }

    fn any_host(&mut self) -> usize {
        usize::try_from(self.random.below(self.hosts.len() as u64)).unwrap_or(0)
    }

    fn services_die(&mut self) -> Result<(), String> {
        for _ in 0..1 + self.hosts.len() / 4 {
            let index = self.any_host();
            let which = usize::from(self.random.chance(50)) % SERVICES.len();
            match self.random.chance(30) {
                true => self.on_host(index, SimHost::service_grows)?,
                false => self.on_host(index, |host, now, random| host.service_dies(which, now, random))?,
            }
        }
        Ok(())
    }

    pub(super) fn link_breaks(&mut self, index: usize) {
        if let Some(link) = self.hosts[index].link {
            self.breaks(link.session);
        }
    }

    pub(super) fn is_cut_off(&mut self, index: usize) {
        self.hosts[index].is_cut = true;
        self.link_breaks(index);
    }

    fn agent_dies(&mut self, index: usize) -> Result<(), String> {
        self.link_breaks(index);
        // Its end of the connection is gone with it.
        if self.hosts[index].link.take().is_some() {
            self.hosts[index].outbox.link(None);
            self.hosts[index].linked_since = None;
            let again = Duration::from_millis(100 + self.random.below(3_000));
            self.after(again, Event::Dials(index));
        }
        self.on_host(index, |host, now, random| host.restarts(now, random))
    }

    fn controllers_disk_turns(&mut self) {
        self.controller.disk_is_full = !self.controller.disk_is_full;
        self.calm_since = self.now.mono.plus(Duration::from_secs(10));
    }

    fn controller_dies(&mut self) {
        if !self.controller.is_up {
            return;
        }
        self.totals.killed += 1;
        self.controller.is_killed(&mut self.random);
        self.nobody_answers();
        self.breaks_all();
        let starts = Duration::from_millis(100 + self.random.below(15_000));
        self.calm_since = self.now.mono.plus(starts + Duration::from_secs(10));
        self.after(starts, Event::Starts);
    }

    /// The controller's disk is replaced by a copy from before; `with_epoch` as `ansai controller restore` does it.
    pub(super) fn comes_back_from_copy(&mut self, with_epoch: bool) {
        let Some(copy) = self.controller.copy.clone().filter(|_| self.controller.is_up) else { return };
        self.controller_dies();
        self.messages_are_unsure();
        self.controller.disk = copy;
        self.totals.restored += 1;
        if with_epoch {
            self.begins_an_epoch();
        } else {
            self.operators.numbers_are_ambiguous = true;
            self.hosts.iter_mut().for_each(|host| host.books.numbers_are_ambiguous = true);
        }
    }

    /// What was said in an epoch is older than everything in the next.
    pub(super) fn begins_an_epoch(&mut self) {
        self.epoch += 1;
        self.controller.disk.epoch = self.epoch;
        self.operators.numbers_are_ambiguous = false;
        self.hosts.iter_mut().for_each(|host| host.books.numbers_are_clear());
    }

    fn is_cloned(&mut self, index: usize) {
        let is_one = |id| self.hosts.iter().filter(|host| host.id == id).count() == 1;
        let has_clone = !self.hosts.iter().all(|host| is_one(host.id));
        if has_clone {
            return;
        }
        self.totals.clones += 1;
        self.messages_of_a_clone(self.hosts[index].id);
        let host = &self.hosts[index];
        let made = Made {
            id: host.id,
            serial: host.serial.clone(),
            name: host.name.clone(),
            role: host.role.clone(),
            machine: host.machine,
            skew_ms: host.skew_ms,
            saved: host.saved.clone(),
            books: host.books.clone(),
        };
        self.adds(made);
    }
}

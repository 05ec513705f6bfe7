//! The table for programs: every round, the medians, the ratios.

use serde_json::{Value, json};

use super::{Line, Table};

impl Table {
    /// An object with `"schema": "pullcheck.bench.registry/1"`. Times in seconds, sizes in bytes.
    pub fn json(&self) -> Value {
        let peers: Vec<Value> = self
            .peers
            .iter()
            .map(|seen| {
                json!({
                    "name": seen.peer.name(),
                    "version": seen.version,
                    "configuration": seen.peer.configuration(),
                    "sendfile": seen.peer.sendfile(),
                    "skipped": seen.version.is_none().then(|| seen.peer.how_to_install()),
                    "cold_start": seen.cold(),
                    "resident_idle": seen.resident(),
                    "resident_after_work": seen.resident_at_end,
                    "resident_with_1_gib": seen.resident_with_stored,
                })
            })
            .collect();
        let mut cases = Vec::new();
        for case in &self.cases {
            let lines: Vec<Value> = self
                .lines(*case)
                .iter()
                .map(|line| self.json_line(*case, line))
                .collect();
            cases.push(json!({"case": case.id(), "unit": case.unit(), "peers": lines}));
        }
        let goals: Vec<Value> = self
            .goals()
            .iter()
            .map(|goal| json!({"goal": goal.what, "wanted": goal.wanted, "reached": goal.reached}))
            .collect();
        json!({
            "schema": "pullcheck.bench.registry/1",
            "machine": {
                "cores": self.machine.cores,
                "processor": self.machine.processor,
                "system": self.machine.system,
                "kernel": self.machine.kernel,
            },
            "connections": self.connections,
            "rounds": self.rounds,
            "seconds": self.time.as_secs_f64(),
            "peers": peers,
            "cases": cases,
            "goals": goals,
        })
    }

    fn json_line(&self, case: super::Case, line: &Line) -> Value {
        let rounds = self.done.get(&(case, line.peer)).into_iter().flatten();
        let rounds: Vec<Value> = rounds
            .map(|done| {
                json!({
                    "count": done.count,
                    "wall": done.wall.as_secs_f64(),
                    "cpu": done.cpu.as_secs_f64(),
                })
            })
            .collect();
        json!({
            "peer": line.peer.name(),
            "per_second": line.per_second,
            "per_cpu_second": line.per_cpu_second,
            "spread": line.spread,
            "of_best_peer": line.of_best,
            "of_best_peer_without_sendfile": line.of_best_without_sendfile,
            "of_bare": line.of_bare,
            "rounds": rounds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;

    #[test]
    fn a_skipped_peer_says_how_to_get_it() {
        let value = sample().json();
        let crane = &value["peers"][5];
        assert_eq!(crane["version"], serde_json::Value::Null);
        assert!(crane["skipped"].as_str().unwrap().contains("prepare crane"));
        assert_eq!(value["cases"][0]["peers"][0]["rounds"][2]["cpu"], 5.0);
    }
}

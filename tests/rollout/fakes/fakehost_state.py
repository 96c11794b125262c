"""The state of a fake host: a file in its folder, changed as the modules of the collection would change a host."""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path


def arguments():
    return json.loads(Path(sys.argv[1]).read_text())


def answer(document):
    print(json.dumps(document))


class Host:
    """`script.json` says what goes wrong here: {action: fault}."""

    def __init__(self):
        self.folder = Path(os.environ["FAKE_HOST"])
        self.lock = (self.folder / "lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.state = json.loads((self.folder / "state.json").read_text())
        self.script = json.loads((self.folder / "script.json").read_text())
        self.expire()

    def save(self):
        path = self.folder / "state.new"
        path.write_text(json.dumps(self.state))
        path.replace(self.folder / "state.json")

    def note(self, action, changed=False):
        with (self.folder / "calls").open("a") as calls:
            calls.write(json.dumps({"action": action, "changed": changed}) + "\n")

    def expire(self):
        change = self.state["transaction"]
        if change and change["state"] == "pending" and time.time() >= change["deadline"]:
            self.take_back("nobody confirmed it in time")
        policy = self.state["policy_change"]
        if policy and policy["deadline"] and time.time() >= policy["deadline"]:
            self.end_policy("reverted", policy["previous"])
        share = self.state["share"]
        if share and time.time() >= share["deadline"]:
            self.state["share"] = None
            self.save()

    def end_policy(self, state, digest):
        self.state["policy_change"].update(state=state, deadline=None)
        self.state["digest"] = digest
        self.save()

    def take_back(self, cause):
        change = self.state["transaction"]
        self.state.update(release=change["previous"], restarts=0)
        change.update(state="reverted", cause=cause)
        self.save()

    # --- what modules ask

    def samples(self, seconds):
        """Of a host that denies a packet a second, and more under a change by which it is scripted to."""
        if self.script["samples"] == "none":
            return {}
        now, change = time.time(), self.state["transaction"] or {}
        begun = change.get("begun", now)
        rows = []
        for age in range(4 * min(seconds, 120), -1, -1):
            t = now - age / 4
            denied = t - 1e9 + max(0, t - begun) * self.script.get("denies", 0)
            rows.append({"t": t, "boot_id": "b", "start": 1, "values": {"denied": denied}})
        return {"now": now, "boot_id": "b", "samples": rows, "peers": None}

    def look(self, args):
        found = self.described()
        if args.get("samples_s") and self.script.get("samples"):
            found["samples"] = self.samples(args["samples_s"])
        if args.get("differences"):
            found["differences"] = []
        return found

    def staged_policy(self):
        """Meets a thousand new flows from one look to the next; its share of them, if there is one, is judged by it."""
        state = self.state
        if not state["staged"]:
            return None
        percent = state["share"]["percent"] if state["share"] else 0
        for judge, flows in (("live", 1000 - 10 * percent), ("staged", 10 * percent)):
            strict = judge == "staged" and self.script.get("share") == "refuses"
            refused = flows // (2 if strict else 100)
            state["judged"][judge]["refused"] += refused
            state["judged"][judge]["allowed"] += flows - refused
        self.save()
        none = dict.fromkeys(("agree_deny", "allow_to_deny", "deny_to_allow"), 0)
        alike = {"agree_allow": 1000, **none}
        return {
            "digest": state["staged"],
            "share": percent,
            "comparisons": {"ingress": alike, "egress": alike},
            "judged": state["judged"],
        }

    def described(self):
        state, change = self.state, self.state["transaction"]
        if change:
            change = {**change, "deadline_in_s": change["deadline"] - time.time()}
        return {
            "changed": False,
            "installed": True,
            "releases": {
                "current": state["release"],
                "previous": (change or {}).get("previous"),
                "installed": state["releases"],
            },
            "service": {
                "active": True,
                "state": "active (running)",
                "restarts": state["restarts"],
                "pid": 7,
            },
            "transaction": change,
            "status": {
                "release": state["release"],
                "agent": {"running": True, "release": state["release"]},
                "datapath": {
                    "loaded": state["loaded"],
                    "interfaces": [{"name": "eth0", "ingress": True, "egress": True}],
                },
                "policy": {
                    "generation": state["generation"],
                    "digest": state["digest"],
                    "mode": "protect",
                    "previous": state["previous"],
                    "staged": self.staged_policy(),
                },
                "transaction": self.policy_transaction(),
                "drift": [],
            },
            "facts": {"kernel": "6.1.0-18-amd64", "arch": "x86_64", "distribution": "debian"},
            "problem": "",
        }

    def policy_transaction(self):
        change = self.state["policy_change"]
        if not change:
            return None
        left = change["deadline"] - time.time() if change["deadline"] else None
        known = {key: change[key] for key in ("id", "state", "digest")}
        return {**known, "generation": self.state["generation"], "deadline_in_s": left}

    def release(self, args):
        act = {"present": self.present, "confirmed": self.confirmed, "previous": self.previous}
        return act[args.get("state", "present")](args)

    def present(self, args):
        version, now = args["version"], self.state["release"]
        if version not in self.state["releases"] and not args.get("src"):
            self.note("ask")
            return {"changed": False, "needs_artifact": "x86_64"}
        changed = version != now
        report = {"changed": changed, "release": {"before": now, "after": version}, "steps": []}
        if args["_ansible_check_mode"]:
            return report
        self.fault("apply")
        if changed:
            self.state.update(release=version, restarts=self.script.get("restarts", 0))
            self.state["releases"] = sorted({*self.state["releases"], version})
            self.state["transaction"] = {
                "version": version,
                "previous": now,
                "state": "pending",
                "deadline": time.time() + args["confirm_within"],
                "begun": time.time(),
            }
            self.save()
        self.note("apply", changed)
        if self.script.get("apply") == "lost":
            (self.folder / "down").touch()
        self.fault("applied")
        return {**report, "transaction": self.state["transaction"]}

    def confirmed(self, args):
        self.fault("keep")
        change = self.state["transaction"]
        if self.state["release"] != args["version"]:
            return {"failed": True, "msg": f"the host took it back: {(change or {}).get('cause')}"}
        if change:
            change["state"] = "confirmed"
        self.save()
        self.note("keep", True)
        self.fault("kept")
        return {"changed": True}

    def previous(self, args):
        self.fault("back")
        version = args.get("version") or (self.state["transaction"] or {}).get("previous")
        report = {"release": {"before": self.state["release"], "after": version}}
        if self.state["release"] == version:
            self.note("back")
            return {"changed": False, **report}
        if args["_ansible_check_mode"]:
            return {"changed": True, **report}
        self.take_back("it was asked for")
        self.note("back", True)
        self.fault("went back")
        return {"changed": True, **report}

    def policy_stage(self, args):
        if args.get("state", "staged") == "absent":
            changed = bool(self.state["staged"])
            if not args["_ansible_check_mode"]:
                self.state.update(staged="", share=None)
                self.save()
                self.note("unstage")
            return {"changed": changed}
        if args["_ansible_check_mode"]:
            return {"changed": True, "digest": json.loads(args["document"])["digest"]}
        self.fault("stage")
        percent, lasts_s = args["share"], args["share_for"]
        share = {"percent": percent, "deadline": time.time() + lasts_s} if percent else None
        self.state.update(staged=json.loads(args["document"])["digest"], share=share)
        self.save()
        self.note(f"share {percent}" if percent else "stage")
        judged = self.state["judged"]
        return {"changed": True, "digest": self.state["staged"], "share": percent, "judged": judged}

    def policy(self, args):
        if args.get("epoch") is not None and args["epoch"] < self.state["epoch"]:
            return {"failed": True, "code": 3, "msg": f"epoch {args['epoch']} is over"}
        self.state["epoch"] = args.get("epoch") or self.state["epoch"]
        if args["_ansible_check_mode"] and args["operation"] in ("commit", "revert"):
            return {"changed": bool((self.state["policy_change"] or {}).get("deadline"))}
        act = {
            "apply": self.apply_policy,
            "confirm": self.confirm_policy,
            "commit": self.commit_policy,
            "revert": self.revert_policy,
        }
        return act[args["operation"]](args)

    def apply_policy(self, args):
        digest = json.loads(args["document"])["digest"]
        answer = {"digest": digest, "generation": self.state["generation"], "ops": []}
        changed = digest != self.state["digest"]
        if not changed or args["_ansible_check_mode"]:
            return {"changed": changed, "transaction": None, **answer}
        self.fault("apply")
        if (self.state["policy_change"] or {}).get("deadline"):
            return {"failed": True, "code": 3, "msg": "a change is waiting to be confirmed"}
        change = {
            "id": f"{len(self.state['policies'])}",
            "state": "pending",
            "deadline": time.time() + args["confirm_within"],
            "previous": self.state["digest"],
            "digest": digest,
            "staged": self.state["staged"],
        }
        self.state["policies"].append(digest)
        self.state.update(digest=digest, staged="", share=None, policy_change=change)
        self.save()
        self.note("apply policy", True)
        self.fault("applied policy")
        return {"changed": True, "transaction": self.ticket(), **answer}

    def ticket(self):
        number = self.state["policy_change"]["id"]
        return {"id": number, "token": f"token {number}"}

    def confirm_policy(self, args):
        self.state["generation"] += 1
        lease = args.get("lease")
        self.state["policy_change"].update(
            state="leased" if lease else "confirmed",
            deadline=time.time() + lease if lease else None,
        )
        if not lease:
            self.kept_policy()
        self.save()
        self.note("confirm policy")
        if self.script.get("policy") == "breaks":
            self.state["restarts"] = 3
            self.save()
        state = self.state["policy_change"]["state"]
        return {"changed": True, "digest": self.state["digest"], "generation": 1, "state": state}

    def commit_policy(self, args):
        self.fault("keep")
        change = self.state["policy_change"]
        if {key: args["transaction"][key] for key in ("id", "token")} != self.ticket():
            return {"failed": True, "code": 3, "msg": "that is not its token"}
        if change["state"] == "reverted":
            return {"failed": True, "code": 8, "msg": "the kernel took it back already"}
        changed = change["state"] != "confirmed"
        if changed:
            self.kept_policy()
        self.end_policy("confirmed", change["digest"])
        self.note("commit policy", changed)
        return {
            "changed": changed,
            "digest": change["digest"],
            "generation": 1,
            "state": "committed",
        }

    def kept_policy(self):
        """What ruled before it is what it can go back to, unless it came back from there."""
        change, before = self.state["policy_change"], self.state["previous"] or {}
        number, former = self.state["generation"] - 1, change["previous"]
        returned = not former or before.get("digest") == change["digest"]
        self.state["previous"] = None if returned else {"generation": number, "digest": former}

    def revert_policy(self, args):
        change = self.state["policy_change"]
        if not change or not change["deadline"]:
            return {"failed": True, "code": 3, "msg": "no change is waiting to be confirmed"}
        self.end_policy("reverted", change["previous"])
        self.note("revert policy", True)
        return {"changed": True, "digest": self.state["digest"], "generation": 1}

    def fault(self, action):
        found = self.script.get(action)
        if found == "fail":
            self.note(f"{action} failed")
            answer({"failed": True, "msg": f"{action} fails here"})
            sys.exit(0)
        if found == "kill":
            self.script.pop(action)
            (self.folder / "script.json").write_text(json.dumps(self.script))
            os.kill(int((self.folder.parent / "controller").read_text()), signal.SIGKILL)

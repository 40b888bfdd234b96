package verify

import (
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/plan"
)

func found(rule, file string, line int, fingerprint string) Finding {
	return Finding{Rule: rule, Severity: Error, Message: "of " + rule, Position: at(file, line, 1), Fingerprint: fingerprint}
}

func TestV85KnownFindingsPassNewOnesFailAndVanishedOnesAreReported(t *testing.T) {
	before := Report{Findings: []Finding{found("LS203", "b.go", 4, "bb:1"), found("LS101", "a.go", 9, "aa:1"), found("LS201", "a.go", 2, "cc:1")}}
	before.Findings = append(before.Findings, Finding{Rule: "LS201", Severity: Error, Position: at("s.go", 1, 1), Fingerprint: "ss:1", Suppressed: "in a comment"})
	data, n, err := before.NewBaseline(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "schema": 1,
  "findings": [
    {
      "rule": "LS101",
      "file": "a.go",
      "message": "of LS101",
      "reason": "",
      "fingerprint": "aa:1"
    },
    {
      "rule": "LS201",
      "file": "a.go",
      "message": "of LS201",
      "reason": "",
      "fingerprint": "cc:1"
    },
    {
      "rule": "LS203",
      "file": "b.go",
      "message": "of LS203",
      "reason": "",
      "fingerprint": "bb:1"
    }
  ]
}
`
	if string(data) != want || n != 3 {
		t.Errorf("%d findings in\n%s", n, data)
	}

	// A person gives a reason; then one finding moves, one goes and one comes.
	data = []byte(strings.Replace(string(data), `"reason": "",
      "fingerprint": "bb:1"`, `"reason": "until the VPN is gone",
      "fingerprint": "bb:1"`, 1))
	known, err := ParseBaseline("known.json", data)
	if err != nil {
		t.Fatal(err)
	}
	now := Report{Findings: []Finding{found("LS203", "b.go", 40, "bb:1"), found("LS101", "a.go", 9, "aa:1"), found("LS101", "z.go", 1, "dd:1")}}
	now.Accept(known)
	if now.Count(Error) != 1 || now.ExitCode(Error, false) != 1 {
		t.Errorf("%d errors are open, want the new one", now.Count(Error))
	}
	for _, f := range now.Findings {
		switch f.Fingerprint {
		case "bb:1":
			if f.Known != "until the VPN is gone" {
				t.Errorf("the reason is %q", f.Known)
			}
		case "aa:1":
			if f.Known != "listed in known.json" {
				t.Errorf("without a reason: %q", f.Known)
			}
		case "dd:1":
			if f.Known != "" {
				t.Errorf("the new finding is known: %q", f.Known)
			}
		case "baseline:cc:1":
			if f.Severity != Info || f.Rule != "LS504" || place(f.Position) != "known.json:16:1" || !strings.Contains(f.Fix, "--write-baseline") {
				t.Errorf("vanished: %+v", f)
			}
		default:
			t.Errorf("unexpected %+v", f)
		}
	}
	if len(now.Findings) != 4 {
		t.Errorf("%d findings, want 4", len(now.Findings))
	}

	// Written anew, the list keeps the reason, drops what is gone, and passes.
	again, n, err := now.NewBaseline(known)
	if err != nil {
		t.Fatal(err)
	}
	if n != 3 || !strings.Contains(string(again), "until the VPN is gone") || strings.Contains(string(again), "cc:1") || !strings.Contains(string(again), "dd:1") {
		t.Errorf("rewritten: %s", again)
	}
	passes := Report{Findings: []Finding{found("LS203", "b.go", 40, "bb:1"), found("LS101", "a.go", 9, "aa:1"), found("LS101", "z.go", 1, "dd:1")}}
	if known, err = ParseBaseline("known.json", again); err != nil {
		t.Fatal(err)
	}
	passes.Accept(known)
	if passes.ExitCode(Info, true) != 0 {
		t.Errorf("what was just written fails: %+v", passes.Findings)
	}
}

func TestV85ADamagedBaselineStopsTheRun(t *testing.T) {
	for name, text := range map[string]string{
		"a conflict":     "{\n  \"schema\": 1,\n<<<<<<< ours\n",
		"another schema": `{"schema": 2, "findings": []}`,
		"no fingerprint": `{"schema": 1, "findings": [{"rule": "LS101"}]}`,
		"nothing":        "",
	} {
		_, err := ParseBaseline("known.json", []byte(text))
		if rs, ok := plan.AsRefusals(err); !ok || rs.ExitCode() != 3 || rs[0].Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := ParseBaseline("known.json", []byte("{\n  \"schema\": 1,\n<<<<<<< ours\n"))
	if rs, _ := plan.AsRefusals(err); rs[0].Line != 3 {
		t.Errorf("the conflict is in line 3, said is %d", rs[0].Line)
	}
}

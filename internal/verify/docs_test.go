package verify

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/verify.md from the rules")

const docsPage = "../../docs/verify.md"

// marker ends the part of the page that is written by hand.
const marker = "<!-- Below: from the rules, by go test ./internal/verify -run TestTheDocsPage -update -->\n"

func TestTheDocsPageSaysWhatTheRulesSay(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	head, found, ok := strings.Cut(string(page), marker)
	if !ok {
		t.Fatalf("%s lacks the line %q", docsPage, marker)
	}
	want := reference()
	if *update {
		if err := os.WriteFile(docsPage, []byte(head+marker+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if found != want {
		t.Errorf("%s is behind the rules; run: go test ./internal/verify -run TestTheDocsPage -update", docsPage)
	}
}

func reference() string {
	var b strings.Builder
	for _, r := range Rules {
		fmt.Fprintf(&b, "\n## %s %s\n\n%s, %s, since %s. **%s**\n\n%s\n", r.ID, r.Name, r.Family, r.Severity, r.Since, r.Title, wrap(r.Doc.Why, 84))
		for _, part := range []struct{ title, text string }{{"Reported", r.Doc.Before}, {"Right", r.Doc.After}} {
			if part.text != "" {
				fmt.Fprintf(&b, "\n%s:\n\n    %s\n", part.title, strings.ReplaceAll(strings.TrimRight(part.text, "\n"), "\n", "\n    "))
			}
		}
	}
	return b.String()
}

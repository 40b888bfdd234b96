package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axeSource is axe-core as package-lock.json pins it.
func axeSource(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("axe-core is not installed; run: make deps (%v)", err)
	}
	return string(source)
}

// violation is one rule that the page breaks.
type violation struct {
	ID     string `json:"id"`
	Help   string `json:"help"`
	Impact string `json:"impact"`
	Nodes  []struct {
		HTML string `json:"html"`
	} `json:"nodes"`
}

// expectAccessible runs every rule of axe-core on the page, in light and in
// dark colours. The library comes in through the debugger: the page's policy
// allows no script.
func (b *tab) expectAccessible(axe, name string) {
	b.t.Helper()
	b.run("load axe-core", chromedp.Evaluate[chromedp.Void](axe+";0"))
	for _, scheme := range []string{"dark", "light"} {
		b.colours(scheme)
		var report strings.Builder
		for _, v := range b.violations(name) {
			fmt.Fprintf(&report, "\n%s (%s): %s", v.ID, v.Impact, v.Help)
			for _, node := range v.Nodes {
				fmt.Fprintf(&report, "\n\t%s", node.HTML)
			}
		}
		if report.Len() > 0 {
			b.fail("%s in %s colours is not accessible:%s", name, scheme, report.String())
		}
	}
}

func (b *tab) violations(name string) []violation {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	violations, err := chromedp.Run(ctx, chromedp.Evaluate[[]violation](
		`axe.run(document, {resultTypes: ["violations"]}).then(result => result.violations)`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fail("axe-core on %s: %v", name, err)
	}
	return violations
}

// colours has the page believe that the system prefers a colour scheme.
func (b *tab) colours(scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.fail("prefer %s colours: %v", scheme, err)
	}
}

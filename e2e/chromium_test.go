package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// startChromium runs one Chromium with a profile of its own until the test
// ends, and returns a context that tabs are made from. names are hosts that it
// finds at an address of this machine, with certificates of the test's own.
func startChromium(t *testing.T, names map[string]string) context.Context {
	t.Helper()
	path := os.Getenv("CHROMIUM")
	if path == "" {
		var err error
		if path, err = exec.LookPath("chromium"); err != nil {
			t.Fatal("there is no chromium here; run: make deps (or set CHROMIUM to a browser)")
		}
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // CI runs as root
		chromedp.Headless,
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(filepath.Join(t.TempDir(), "profile")),
		chromedp.WindowSize(900, 1000),
	}
	for name, address := range names {
		options = append(options, chromedp.IgnoreCertErrors,
			chromedp.Flag("host-resolver-rules", "MAP "+name+" "+address))
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	browser, stop := chromedp.NewContext(ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return browser
}

// tab is one tab of a browser profile without cookies.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	trail []string // "GET localhost/login 200", one for each document
}

// patience bounds how long a page may take.
const patience = 20 * time.Second

func newTab(t *testing.T, browser context.Context, script bool) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.watch); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script}); err != nil {
		t.Fatal(err)
	}
	return b
}

// watch notes every document with the status it was answered with.
func (b *tab) watch(event any) {
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		if event.Type == network.ResourceTypeDocument && event.RedirectResponse != nil {
			b.note(event.RedirectResponse)
		}
	case *network.EventResponseReceived:
		if event.Type == network.ResourceTypeDocument {
			b.note(event.Response)
		}
	}
}

func (b *tab) note(response *network.Response) {
	u, err := url.Parse(response.URL)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trail = append(b.trail, fmt.Sprintf("%s%s %d", u.Hostname(), interactionID.ReplaceAllString(u.Path, "/interactions/…"), response.Status))
}

var interactionID = regexp.MustCompile(`/interactions/[^/]+`)

// walked returns the documents since it was last called.
func (b *tab) walked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	trail := b.trail
	b.trail = nil
	return trail
}

// expectWalked compares the documents since the last call.
func (b *tab) expectWalked(want ...string) {
	b.t.Helper()
	if got := b.walked(); !slices.Equal(got, want) {
		b.fail("the browser went\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (b *tab) run(what string, action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		b.fail("%s: %v", what, err)
	}
}

func (b *tab) open(address string) {
	b.t.Helper()
	b.run("open "+address, chromedp.Navigate(address))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.run("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.run("fill in "+selector, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// arrive waits until the tab shows an element, on a page at prefix.
func (b *tab) arrive(prefix, selector string) {
	b.t.Helper()
	look := fmt.Sprintf("document.readyState === 'complete' && document.querySelector(%q) ? location.href : ''", selector)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if at, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](look)); err == nil && at != "" && strings.HasPrefix(at, prefix) {
			return
		}
	}
	at, _ := chromedp.Run(b.ctx, chromedp.Location())
	b.fail("the browser stayed at %s; want %s with %s", at, prefix, selector)
}

// expectNone ends the test if the page has such an element.
func (b *tab) expectNone(selector string) {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](fmt.Sprintf("document.querySelectorAll(%q).length", selector)))
	if err != nil || n != 0 {
		b.fail("the page has %d times %s (%v)", n, selector, err)
	}
}

// fail ends the test with a picture of what the browser shows.
func (b *tab) fail(format string, args ...any) {
	b.t.Helper()
	message := fmt.Sprintf(format, args...)
	if path, err := b.screenshot(strings.NewReplacer("/", "-", " ", "-").Replace(b.t.Name())); err == nil {
		message += "\nthe page: " + path
	}
	b.t.Fatalf("%s\nway here: %s", message, strings.Join(b.walked(), ", "))
}

// screenshot writes a picture into LOCKSPIRE_E2E_SCREENSHOTS, or a directory
// of the system's for temporary files.
func (b *tab) screenshot(name string) (string, error) {
	dir := os.Getenv("LOCKSPIRE_E2E_SCREENSHOTS")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "lockspire-e2e")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name+".png")
	return path, os.WriteFile(path, picture, 0o644)
}

// Package e2e holds the tests that drive a real browser. They need Chromium
// and axe-core: make deps.
package e2e

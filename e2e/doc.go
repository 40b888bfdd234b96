// Package e2e holds the tests that use an installed host from outside: a real
// browser on the worst common host, and the libraries that clients are written
// with. They need Chromium, Node and what package-lock.json pins: make deps.
package e2e

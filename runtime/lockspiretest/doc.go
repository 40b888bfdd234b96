// Package lockspiretest is for the tests of applications that embed Lockspire:
// a browser that keeps cookies and submits forms, and [Walk], which takes a
// client through sign-in, consent, tokens and revocation on the application's
// own handler.
//
// It imports no database driver and opens no database: the test hands it a
// [lockspire.Provider] that it built on its own *sql.DB.
package lockspiretest

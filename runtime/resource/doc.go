// Package resource protects the API of another Go service with the access tokens
// of a Lockspire issuer. It knows the issuer by its URL alone: keys come from the
// published key set (RFC 8414, RFC 7517), and no database is shared.
//
//	verifier, err := resource.New(resource.Config{
//		Issuer:     "https://app.example/lockspire",
//		Identifier: "https://billing.example/api",
//	})
//	...
//	mux.Handle(verifier.Metadata())
//	mux.Handle("/api/invoices", verifier.Protect(resource.RequireScope("invoices"))(invoices))
//
// It refuses what the issuer's own Provider.Protect refuses, but for one thing:
// whether a grant, its client and its user still stand is only known to the
// issuer. A withdrawal is felt here when the token ends, ten minutes after it was
// issued unless the issuer is configured otherwise, and the revocation of a
// signing key when the key set is read again. A service that has to know at once
// asks the issuer by introspection (RFC 7662); opaque tokens need that too.
package resource

// Package lockspire is an OAuth 2.1 and OpenID Connect authorization server
// that lives inside a Go web application.
//
// The host application owns people: the user table, sessions, login, MFA, the
// subject identifier, claims and the wording of the consent page. This package
// owns protocol state: clients, codes, tokens, interactions, signing keys and
// discovery. It neither imports nor stores anything of the host's identity
// model; the two meet in [AccountResolver] and [Pages], which the host
// implements.
//
// # Which call for which need
//
//   - [New] validates a [Config] and returns a [Provider].
//   - [Provider] is an http.Handler; the generated Mount function registers it
//     on the host's router, one exact pattern per endpoint.
//   - [Provider.Protect] guards the host's own API with the tokens it issued,
//     and [TokenFrom] reads the verified token in a handler. Package resource
//     does the same in another service.
//   - [Provider.Grants] and [Provider.RevokeGrant] list and withdraw what a
//     user has allowed.
//   - [Clients] registers and disables client applications.
//   - [Migrate] and [SchemaStatus] manage the lockspire_* tables for hosts
//     that have no migration tool.
//
// # Compatibility
//
// Within a major version a new capability is a Config or hook field with a
// safe zero value. Interfaces that hosts implement do not grow, and no feature
// is switched on because a host's type happens to have a method of some name.
package lockspire

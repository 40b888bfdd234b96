module github.com/lockspire/lockspire/runtime/dbtest

go 1.26.0

require (
	github.com/coreos/go-oidc/v3 v3.21.0
	github.com/go-jose/go-jose/v4 v4.1.9
	github.com/jackc/pgx/v5 v5.12.0
	github.com/lockspire/lockspire/runtime v0.0.0-00010101000000-000000000000
	golang.org/x/oauth2 v0.38.0
	modernc.org/sqlite v1.62.0
)

replace github.com/lockspire/lockspire/runtime => ../

package templates

import "path"

// hostTestFile renders authserver_test.go: what the generated tests ask the host for. It is an external test package,
// so that it may import the package with the router, which imports this one.
func hostTestFile(in Inputs) ([]byte, error) {
	s := newSource(in, "authserver_test")
	s.external()
	s.packageDoc("package")
	s.file.Anon(driversOf(in)...)
	pool := "*$sql.DB"
	switch {
	case in.Database == DatabaseGorm:
		pool = "*$gorm.DB"
		s.decl("openTestDB."+in.Engine, openGorm(in))
	case in.Engine == EngineSQLite:
		s.decl("openTestDB.sqlite", openSQLite(in))
	case in.Database == DatabasePgx:
		pool = "*$pgxpool.Pool"
		s.decl("openTestDB.postgres", openPool)
	default:
		s.decl("openTestDB.postgres", openPostgres(in))
	}
	s.decl("hostHandler", `
func hostHandler(t *$testing.T, db `+pool+`) $http.Handler {
	t.Helper()
	return nil
}`)
	s.decl("signIn", `
func signIn(browser *$lockspiretest.Browser, login *$lockspiretest.Page) (*$lockspiretest.Page, error) {
	return nil, $errors.New("authserver_test.go: signIn is not written yet")
}`)
	return s.bytes()
}

// driversOf is the blank import that registers the host's own driver in the test binary. A pool needs none.
func driversOf(in Inputs) []string {
	if in.Database == DatabasePgx || in.Database == DatabaseGorm {
		return nil
	}
	return []string{in.DriverImport}
}

// ownURL tells database.go which database the test opened.
func ownURL(in Inputs) string {
	if in.Database != DatabaseOwn {
		return ""
	}
	return "\t//: openTestDB.own\n\tt.Setenv(\"LOCKSPIRE_DATABASE_URL\", source)\n"
}

const sqliteSource = `	source := "file:" + $filepath.ToSlash($filepath.Join(t.TempDir(), "test.db")) +
		{{printf "%q" .SourceName}}
`

func openSQLite(in Inputs) string {
	return `
func openTestDB(t *$testing.T) *$sql.DB {
	t.Helper()
` + sqliteSource + ownURL(in) + `	db, err := $sql.Open({{printf "%q" .DriverName}}, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}`
}

// createSchema makes a schema of the test's own, through admin, whatever kind of pool that is.
const createSchema = `	base := $os.Getenv("LOCKSPIRE_TEST_DATABASE_URL")
	if base == "" {
		t.Skip("LOCKSPIRE_TEST_DATABASE_URL is not set: give the URL of a PostgreSQL database for tests")
	}
	schema := "lockspire_test_" + $strings.ToLower($rand.Text())
`

// openGorm opens the database through gorm's dialector, which brings the driver along.
func openGorm(in Inputs) string {
	source := sqliteSource
	if in.Engine == EnginePG {
		source = createSchema + schemaSource
	}
	return `
func openTestDB(t *$testing.T) *$gorm.DB {
	t.Helper()
` + source + `	db, err := $gorm.Open($` + path.Base(in.DriverImport) + `.Open(source), &$gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return db
}`
}

// schemaSource is the URL of the schema that createSchema names.
const schemaSource = `	admin, err := $sql.Open({{printf "%q" .DriverName}}, base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	if _, err := admin.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.ExecContext($context.Background(), "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	target, err := $url.Parse(base)
	if err != nil {
		t.Fatal("LOCKSPIRE_TEST_DATABASE_URL is not a URL")
	}
	query := target.Query()
	query.Set("search_path", schema)
	target.RawQuery = query.Encode()
	source := target.String()
`

func openPostgres(in Inputs) string {
	return `
func openTestDB(t *$testing.T) *$sql.DB {
	t.Helper()
` + createSchema + schemaSource + ownURL(in) + `	db, err := $sql.Open({{printf "%q" .DriverName}}, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}`
}

const openPool = `
func openTestDB(t *$testing.T) *$pgxpool.Pool {
	t.Helper()
` + createSchema + `	admin, err := $pgxpool.New(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	if _, err := admin.Exec(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec($context.Background(), "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	config, err := $pgxpool.ParseConfig(base)
	if err != nil {
		t.Fatal("LOCKSPIRE_TEST_DATABASE_URL is not the URL of a PostgreSQL database")
	}
	config.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := $pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}`

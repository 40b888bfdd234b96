package templates

// smokeFile renders lockspire_gen_test.go. The walk itself is a library (runtime/lockspiretest), so that hosts get a
// better test with a new runtime.
func smokeFile(in Inputs) ([]byte, error) {
	s := newSource(in, "lockspire_gen_test")
	s.external()
	s.header()
	form := formOf(in)
	open, pool, host := "", "openTestDB(t)", "DB: db"
	switch in.Database {
	case DatabasePgx:
		pool, host = "$stdlib.OpenDBFromPool(openTestDB(t))", "Pool: db"
	case DatabaseGorm:
		pool, host = "pool", "Gorm: db"
		open = `	pool, err := openTestDB(t).DB()
	if err != nil {
		t.Fatal(err)
	}
`
	case DatabaseOwn:
		host = ""
	}
	dialect, asked := "\t\tDialect: $lockspire.{{.Dialect}},\n", ""
	if in.EngineAtStart {
		dialect, asked = "", `	if err := $host.SetDialectForTest(t.Context(), &config); err != nil {
		t.Fatal(err)
	}
`
	}
	migrate := ""
	if in.Migrations != MigrationsRuntime {
		migrate = `	if err := $lockspire.Migrate(t.Context(), config.DB, config.Dialect, config.Schema); err != nil {
		t.Fatal(err)
	}
`
	}
	s.decl("TestSmoke", `
func TestSmoke(t *$testing.T) {
	secret := make([]byte, 32)
	if _, err := $rand.Read(secret); err != nil {
		t.Fatal(err)
	}
`+open+`	config := $lockspire.Config{
		Issuer: "https://app.example" + $host.MountPath,
		DB: `+pool+`,
`+dialect+`		Accounts: smokeAccounts{},
		Pages: $host.PagesForTest(),
		Secrets: [][]byte{secret},
		Scopes: []$lockspire.Scope{
			{Name: "profile", Title: "See your name"},
		},
	}
`+asked+migrate+`	router := `+form.bare+`
`+form.mount+`	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
`+form.login+`	$lockspiretest.Walk(t, $lockspiretest.Host{
		Handler: `+form.served(in)+`,
		Provider: provider,
		SignIn: func(_ *$lockspiretest.Browser, login *$lockspiretest.Page) (*$lockspiretest.Page, error) {
			return login.Form("return_to").Submit()
		},
		Subject: "smoke-1",
		Scopes: []string{"profile"},
	})
}`)
	s.decl("TestSeam", `
func TestSeam(t *$testing.T) {
	db := openTestDB(t)
	handler := hostHandler(t, db)
	if handler == nil {
		t.Log("hostHandler returns nil: write it, and this test proves your own router, sessions and account resolver")
		return
	}
	provider, err := $host.ProviderForTest($host.Host{`+host+`})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	$lockspiretest.Walk(t, $lockspiretest.Host{Handler: handler, Provider: provider, SignIn: signIn})
}`)
	s.decl("smokeLogin", `
func smokeLogin(w $http.ResponseWriter, r *$http.Request) {
	if r.Method == $http.MethodPost {
		$http.SetCookie(w, &$http.Cookie{Name: "smoke", Value: "signed-in", Path: "/"})
		$http.Redirect(w, r, $lockspire.SafeReturnTo(r.PostFormValue("return_to"), "/"), $http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = $fmt.Fprintf(w, "<form method=\"post\"><input type=\"hidden\" name=\"return_to\" value=\"%s\"></form>",
		$template.HTMLEscapeString(r.FormValue("return_to")))
}`)
	s.decl("smokeAccounts", `type smokeAccounts struct{}`)
	s.decl("", `
func (smokeAccounts) CurrentAccount(r *$http.Request) ($lockspire.Account, error) {
	if cookie, err := r.Cookie("smoke"); err != nil || cookie.Value != "signed-in" {
		return $lockspire.Account{}, $lockspire.ErrNotSignedIn
	}
	return $lockspire.Account{Subject: "smoke-1", DisplayName: "Smoke", SessionID: "smoke", AuthTime: $time.Now()}, nil
}`)
	s.decl("", `
func (smokeAccounts) AccountBySubject(_ $context.Context, subject string) ($lockspire.Account, error) {
	if subject != "smoke-1" {
		return $lockspire.Account{}, $lockspire.ErrAccountGone
	}
	return $lockspire.Account{Subject: subject}, nil
}`)
	s.decl("", `
func (smokeAccounts) Claims(
	_ $context.Context, _ $lockspire.Account, request $lockspire.ClaimsRequest,
) ($lockspire.Claims, error) {
	if !request.Has("profile") {
		return $lockspire.Claims{}, nil
	}
	return $lockspire.Claims{"name": "Smoke Test"}, nil
}`)
	s.decl("", `
func (smokeAccounts) LoginURL(_ *$http.Request, interaction $lockspire.Interaction) string {
	return interaction.AppendTo("/smoke-login")
}`)
	return s.bytes()
}

// exportFile renders lockspire_gen_export_test.go: what the external test package may reach of this one.
func exportFile(in Inputs) ([]byte, error) {
	s := newSource(in, "lockspire_gen_test")
	s.header()
	s.decl("MountForTest", `var MountForTest = mount`)
	s.decl("PagesForTest", `
func PagesForTest() $lockspire.Pages { return newPages() }`)
	if in.EngineAtStart {
		s.decl("SetDialectForTest", `var SetDialectForTest = setDialect`)
	}
	s.decl("ProviderForTest", `
func ProviderForTest(host Host) (*$lockspire.Provider, error) {
	config, err := newConfig(host)
	if err != nil {
		return nil, err
	}
`+databaseCode(in)+fixedDialect(in)+askedDialect(in, "nil", "$context.Background()")+`	return $lockspire.New($context.Background(), config)
}`)
	return s.bytes()
}

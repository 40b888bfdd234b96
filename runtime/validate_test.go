package lockspire

import (
	"database/sql"
	"net/http"
	"strings"
	"testing"
	"time"
)

// goodConfig passes normalize; nothing of it is ever called.
func goodConfig() Config {
	return Config{
		Issuer: "https://app.example/lockspire", DB: new(sql.DB), Dialect: SQLite, Accounts: struct{ AccountResolver }{},
		Pages: Pages{
			Consent:        func(http.ResponseWriter, *http.Request, ConsentPage) {},
			AuthorizedApps: func(http.ResponseWriter, *http.Request, AuthorizedAppsPage) {},
		},
	}
}

func TestConfigProblemsAreNamedAllAtOnce(t *testing.T) {
	_, err := normalize(Config{TTLs: TTLs{Code: time.Hour}})
	if err == nil {
		t.Fatal("the zero Config was accepted")
	}
	for _, field := range []string{"Issuer", "DB", "Dialect", "Accounts", "Pages.Consent", "Pages.AuthorizedApps", "TTLs.Code"} {
		if !strings.Contains(err.Error(), "Config."+field+":") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	config, err := normalize(goodConfig())
	if err != nil {
		t.Fatal(err)
	}
	if config.MountPath != "/lockspire" || len(config.Resources) != 1 || config.Resources[0].Identifier != "https://app.example" {
		t.Errorf("mount path %q, resources %v", config.MountPath, config.Resources)
	}
	want := TTLs{AccessToken: 10 * time.Minute, IDToken: 10 * time.Minute, Code: time.Minute, RefreshIdle: 720 * time.Hour,
		RefreshAbsolute: 8760 * time.Hour, RefreshReuseWindow: time.Minute, Interaction: time.Hour, Decision: 10 * time.Minute,
		KeyRotation: 2160 * time.Hour, JWKSMaxAge: 5 * time.Minute}
	if config.TTLs != want || config.Now == nil || config.Logger == nil {
		t.Errorf("TTLs %+v", config.TTLs)
	}
}

func TestConfigRefusals(t *testing.T) {
	for _, v := range []struct {
		name, field string
		change      func(*Config)
	}{
		{"reserved claim", "Claims[1]", func(c *Config) { c.Claims = []string{"email", "sub"} }},
		{"claim twice", "Claims[1]", func(c *Config) { c.Claims = []string{"email", "email"} }},
		{"http issuer", "Issuer", func(c *Config) { c.Issuer = "http://app.example" }},
		{"loopback look-alike", "Issuer", func(c *Config) { c.Issuer = "http://127.0.0.1.example" }},
		{"trailing slash", "Issuer", func(c *Config) { c.Issuer = "https://app.example/" }},
		{"query", "Issuer", func(c *Config) { c.Issuer = "https://app.example?x" }},
		{"fragment", "Issuer", func(c *Config) { c.Issuer = "https://app.example#" }},
		{"user information", "Issuer", func(c *Config) { c.Issuer = "https://u@app.example" }},
		{"default port", "Issuer", func(c *Config) { c.Issuer = "https://app.example:443/lockspire" }},
		{"default port of http", "Issuer", func(c *Config) { c.Issuer = "http://localhost:80" }},
		{"upper case", "Issuer", func(c *Config) { c.Issuer = "https://App.example" }},
		{"dot segment", "Issuer", func(c *Config) { c.Issuer = "https://app.example/a/../b" }},
		{"escape", "Issuer", func(c *Config) { c.Issuer = "https://app.example/a%20b" }},
		{"relative", "Issuer", func(c *Config) { c.Issuer = "app.example" }},
		{"mount path", "MountPath", func(c *Config) { c.MountPath = "auth/" }},
		{"schema on SQLite", "Schema", func(c *Config) { c.Schema = "auth" }},
		{"scope with a space", "Scopes[0].Name", func(c *Config) { c.Scopes = []Scope{{Name: "a b"}} }},
		{"scope twice", "Scopes[1].Name", func(c *Config) { c.Scopes = []Scope{{Name: "a"}, {Name: "a"}} }},
		{"relative resource", "Resources[0].Identifier", func(c *Config) { c.Resources = []Resource{{Identifier: "/api"}} }},
		{"resource twice", "Resources[1].Identifier", func(c *Config) {
			c.Resources = []Resource{{Identifier: "https://a.example"}, {Identifier: "https://A.example/"}}
		}},
		{"resource's scope", "Resources[0].Scopes", func(c *Config) {
			c.Resources = []Resource{{Identifier: "https://a.example", Scopes: []string{"x"}}}
		}},
		{"absolute limit under the idle one", "TTLs.RefreshAbsolute", func(c *Config) { c.TTLs.RefreshAbsolute = time.Hour }},
		{"long window", "TTLs.RefreshReuseWindow", func(c *Config) { c.TTLs.RefreshReuseWindow = time.Hour }},
	} {
		config := goodConfig()
		v.change(&config)
		if _, err := normalize(config); err == nil || !strings.Contains(err.Error(), "Config."+v.field+":") {
			t.Errorf("%s: %v", v.name, err)
		}
	}
	for _, issuer := range []string{"https://app.example", "http://localhost:8080/lockspire", "http://127.0.0.1:1", "http://[::1]:1/a/b"} {
		config := goodConfig()
		config.Issuer = issuer
		if _, err := normalize(config); err != nil {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

// A proxy may strip the whole path of the issuer.
func TestMountPathMayBeTheRootBelowAnIssuerWithAPath(t *testing.T) {
	config := goodConfig()
	config.MountPath = "/"
	config, err := normalize(config)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{config: config, issuerPath: "/lockspire"}
	endpoints := p.newEndpoints()
	for _, path := range []string{"/token", "/authorize", wellKnownOIDC, wellKnownServer + "/lockspire"} {
		if _, ok := endpoints[path]; !ok {
			t.Errorf("nothing is served at %s", path)
		}
	}
}

package templates

// configFile renders config.go: the host's own settings.
func configFile(in Inputs) ([]byte, error) {
	s := newSource(in, "config")
	s.packageDoc("package")
	fields := map[string]string{
		DatabaseSQL:  "\t//: Host.DB\n\tDB *$sql.DB\n\n",
		DatabasePgx:  "\t//: Host.Pool\n\tPool *$pgxpool.Pool\n\n",
		DatabaseGorm: "\t//: Host.Gorm\n\tGorm *$gorm.DB\n\n",
	}[in.Database]
	s.decl("Host", `
type Host struct {
`+fields+in.Session.hostField()+`	//: Host.Browser
	Browser `+formOf(in).browser+`
}`)
	s.decl("", `
const (
	//: loginPath
	loginPath = {{printf "%q" .LoginPath}}

	//: defaultIssuer
	defaultIssuer = {{printf "%q" .DefaultIssuer}}
)`)
	schema := ""
	if in.Schema != "" {
		schema = "\t\tSchema: {{printf \"%q\" .Schema}},\n"
	}
	mountPath := ""
	if in.Issuer != "" && issuerPath(in.Issuer) != in.prefix() {
		mountPath = "\t\tMountPath: MountPath, // a proxy changes the path between the issuer and this application\n"
	}
	s.decl("newConfig", `
func newConfig(host Host) ($lockspire.Config, error) {
	issuer := $os.Getenv("LOCKSPIRE_ISSUER")
	if issuer == "" {
		issuer = defaultIssuer
	}
	secrets, err := secretsFor(issuer)
	if err != nil {
		return $lockspire.Config{}, err
	}
	return $lockspire.Config{
		Issuer: issuer,
`+mountPath+schema+`		Accounts: newAccountResolver(host),
		Pages: newPages(),
		Secrets: secrets,
		//: scopes
		Scopes: []$lockspire.Scope{
			{Name: "profile", Title: "See your name", Description: "Your name and the like, not your e-mail address."},
			{Name: "email", Title: "See your e-mail address"},
			//: scopes.example
		},
		//: resources
	}, nil
}`)
	secretDecls(s)
	return s.bytes()
}

// secretDecls reads secrets from the environment, and makes one for development. No secret is ever in source: a
// literal would be the same in every checkout and would end up in production.
func secretDecls(s *source) {
	s.decl("secretsFor", `
func secretsFor(issuer string) ([][]byte, error) {
	var secrets [][]byte
	separator := func(r rune) bool { return r == ',' || $unicode.IsSpace(r) }
	for i, text := range $strings.FieldsFunc($os.Getenv("LOCKSPIRE_SECRETS"), separator) {
		secret, err := decodeSecret(text)
		if err != nil {
			return nil, $fmt.Errorf("LOCKSPIRE_SECRETS: entry %d %w", i+1, err)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) > 0 {
		return secrets, nil
	}
	if !loopback(issuer) {
		return nil, $fmt.Errorf("LOCKSPIRE_SECRETS is not set, and %s is not a loopback address: "+
			"set it to the output of: openssl rand -base64 32", issuer)
	}
	secret, err := developmentSecret()
	if err != nil {
		return nil, $fmt.Errorf("LOCKSPIRE_SECRETS is not set, and %w", err)
	}
	return [][]byte{secret}, nil
}`)
	s.decl("", `
func decodeSecret(text string) ([]byte, error) {
	text = $strings.NewReplacer("-", "+", "_", "/").Replace($strings.TrimRight(text, "="))
	secret, err := $base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(secret) < 32 {
		return nil, $errors.New("is not base64 of at least 32 bytes")
	}
	return secret, nil
}`)
	s.decl("loopback", `
func loopback(issuer string) bool {
	u, err := $url.Parse(issuer)
	if err != nil {
		return false
	}
	return u.Hostname() == "localhost" || $net.ParseIP(u.Hostname()).IsLoopback()
}`)
	s.decl("developmentSecret", `
func developmentSecret() ([]byte, error) {
	dir, err := $os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		if _, err := $os.Stat($filepath.Join(dir, ".lockspire", "manifest.json")); err == nil {
			break
		}
		parent := $filepath.Dir(dir)
		if parent == dir {
			return nil, $errors.New("there is no .lockspire directory at or above the working directory "+
				"for one of development: set it to the output of: openssl rand -base64 32")
		}
		dir = parent
	}
	name := $filepath.Join(dir, ".lockspire", "dev-secret")
	if _, err := $os.Stat(name); $errors.Is(err, $fs.ErrNotExist) {
		if err := writeSecret(name); err != nil {
			return nil, err
		}
	}
	text, err := $os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	secret, err := decodeSecret($strings.TrimSpace(string(text)))
	if err != nil {
		return nil, $fmt.Errorf("%s %w", name, err)
	}
	return secret, nil
}`)
	s.decl("", `
func writeSecret(name string) error {
	secret := make([]byte, 32)
	if _, err := $rand.Read(secret); err != nil {
		return err
	}
	file, err := $os.CreateTemp($filepath.Dir(name), "dev-secret-*")
	if err != nil {
		return err
	}
	defer func() { _ = $os.Remove(file.Name()) }()
	_, err = file.WriteString($base64.StdEncoding.EncodeToString(secret) + "\n")
	if err = $errors.Join(err, file.Close()); err != nil {
		return err
	}
	//: developmentSecret.link
	if err := $os.Link(file.Name(), name); err != nil && !$errors.Is(err, $fs.ErrExist) {
		return err
	}
	return nil
}`)
}

package templates

// accountResolverFile renders account_resolver.go: the seam to the host's users, as a stub that compiles. What can be read
// of the session is read; what only a person knows returns ErrNotWired. The code is the same with --sigra-host; only the
// prose differs.
func accountResolverFile(in Inputs) ([]byte, error) {
	s := newSource(in, "account_resolver")
	s.decl("accountResolver", `
type accountResolver struct {
	host Host
}`)
	s.decl("newAccountResolver", `
func newAccountResolver(host Host) $lockspire.AccountResolver {
	return &accountResolver{host: host}
}`)
	current := "\treturn $lockspire.Account{}, $lockspire.ErrNotWired\n"
	if in.Session.Filled() {
		current = in.Session.currentAccount(in)
	}
	s.decl("CurrentAccount", `
func (a *accountResolver) CurrentAccount(r *$http.Request) ($lockspire.Account, error) {
`+current+`}`)
	s.decl("AccountBySubject", `
func (a *accountResolver) AccountBySubject(ctx $context.Context, subject string) ($lockspire.Account, error) {
	return $lockspire.Account{}, $lockspire.ErrNotWired
}`)
	s.decl("Claims", `
func (a *accountResolver) Claims(
	ctx $context.Context, account $lockspire.Account, request $lockspire.ClaimsRequest,
) ($lockspire.Claims, error) {
	return nil, $lockspire.ErrNotWired
}`)
	s.decl("LoginURL", `
func (a *accountResolver) LoginURL(r *$http.Request, interaction $lockspire.Interaction) string {
	return interaction.AppendTo(loginPath)
}`)
	return s.bytes()
}

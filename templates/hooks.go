package templates

// Hook is something that a host may use and need not: a field with a safe zero
// value, or a func of the generated package. Its template mentions it by name.
// upgrade tells it to a host whose last render did not.
type Hook struct {
	Name     string // as Go code writes it
	Template string // the template that mentions it
	// Text is one paragraph: what it is for, what happens without it, and what to
	// write where.
	Text string
}

// Hooks are all of them, in the order in which they came.
var Hooks = []Hook{
	{
		Name: "Browser", Template: "config",
		Text: "Host.Browser is middleware for the pages that a person sees. Without it they run behind whatever the router runs " +
			"already. Fill it in, in the call to Mount, where your session is loaded by middleware that the router does not run " +
			"for every route.",
	},
	{
		Name: "Resources", Template: "config",
		Text: "Config.Resources names the APIs that tokens are for. Without it there is one, the origin of the issuer. Fill it in, " +
			"in newConfig of config.go, where one API must not accept the tokens of another.",
	},
	{
		Name: "ForMachines", Template: "lockspire_gen",
		Text: "ForMachines(method, path) is true for the endpoints that programs call. Without it nothing changes. Call it where CSRF " +
			"or login middleware is around the whole router, and let those requests pass by it: they carry no cookie of yours.",
	},
	{
		Name: "GinContext", Template: "account_resolver",
		Text: "GinContext(r) is the *gin.Context of a request. Call it in account_resolver.go where your middleware keeps the signed-in " +
			"person with c.Set: that is not in r.Context().",
	},
	{
		Name: "EchoContext", Template: "account_resolver",
		Text: "EchoContext(r) is the echo.Context of a request. Call it in account_resolver.go where your middleware keeps the " +
			"signed-in person with c.Set: that is not in r.Context().",
	},
	{
		Name: "FiberContext", Template: "account_resolver",
		Text: "FiberContext(r) is fiber's context of a request. Call it in account_resolver.go where your middleware keeps the " +
			"signed-in person with c.Locals: that is not in r.Context().",
	},
}

package lockspire

// Version is the version of this module. `lockspire verify` compares it with
// the version that the generated code was made for; a development build says
// "0.0.0-dev".
const Version = "0.0.0-dev"

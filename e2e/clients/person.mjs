// The other half of every script here: settings come from the environment, each
// line on stdout is a step that was done or an address for a person to open, and
// each line on stdin is where that person's browser ended up.
import { createInterface } from 'node:readline'

export const settings = JSON.parse(process.env.CLIENT)

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

const say = (line) => console.log(JSON.stringify(line))

export const did = (step) => say({ did: step })

export async function signIn(url, decision = 'approve') {
  say({ authorize: url.href, decision })
  const { value, done } = await answers.next()
  if (done) throw new Error('nobody answered')
  return new URL(value)
}

// altered returns url with one parameter of its query changed.
export function altered(url, name, value) {
  const other = new URL(url)
  if (value === undefined) other.searchParams.delete(name)
  else other.searchParams.set(name, value)
  return other
}

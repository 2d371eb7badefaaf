//! The scripts of a fleet's records.
//!
//! A record is one string, `STATE TICKET UNTIL PAYLOAD`, and after `answered` a line break and the answer. The state is
//! `running`, `answered` or `unknown`. A ticket names the call that made it, and is unique, so every script may be sent twice.
//! `UNTIL` is the store's time in milliseconds up to which a running call may run; past it nobody says any more what became
//! of it, and nobody writes that down either: should the answer come after all, it takes the place.
//!
//! What stands there and is no record is taken for one whose outcome is not known: the safe side.

use crate::remote::Script;
use crate::telemetry::labels::StoreOperation;

/// A call with a key comes.
///
/// Keys: record. Arguments: ticket, payload, for how many milliseconds it may run, for how many the record is kept.
/// Answer: `first`, also to who asks again; `running`; `other`: another payload; `unknown` and, if it can be read, the ticket of
/// the call; or `answered` and the answer.
pub(super) static BEGIN: Script = Script {
    operation: StoreOperation::Idempotency,
    text: "#!lua
local ticket, payload = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', KEYS[1]) == 0 then
  local till = string.format('%.0f', now + ARGV[3])
  redis.call('SET', KEYS[1], 'running ' .. ticket .. ' ' .. till .. ' ' .. payload, 'PX', ARGV[4])
  return {'first'}
end
local found = redis.pcall('GET', KEYS[1])
if type(found) ~= 'string' then return {'unknown'} end
local head, state, owner, till, of = string.match(found, '^((%l+) (%S+) (%d+) (%x+)\\n?)')
if not head then return {'unknown'} end
if of ~= payload then return {'other'} end
if state == 'answered' then return {'answered', string.sub(found, #head + 1)} end
if state ~= 'running' then return {'unknown', owner} end
if owner == ticket then return {'first'} end
if now < tonumber(till) then return {'running'} end
return {'unknown', owner}
",
};

/// A call has ended, and what is known of it stands in its record from now on; in place of none where it is gone, as after a
/// failover.
///
/// Keys: record. Arguments: ticket, payload, for how many milliseconds it is kept, `answered` or `unknown`, the answer.
/// Answer: `kept`, or `gone` where the key is another call's by now.
pub(super) static END: Script = Script {
    operation: StoreOperation::Idempotency,
    text: "#!lua
local found = redis.call('EXISTS', KEYS[1]) == 1 and redis.pcall('GET', KEYS[1])
if found then
  local state, owner = string.match(type(found) == 'string' and found or '', '^(%l+) (%S+) ')
  if owner ~= ARGV[1] then return 'gone' end
  if state == 'answered' then return 'kept' end
end
local text = ARGV[4] .. ' ' .. ARGV[1] .. ' 0 ' .. ARGV[2]
if ARGV[4] == 'answered' then text = text .. '\\n' .. ARGV[5] end
redis.call('SET', KEYS[1], text, 'PX', ARGV[3])
return 'kept'
",
};

/// A call was not sent: the next one with its key is a first one.
///
/// Keys: record. Arguments: ticket. Answer: `gone`.
pub(super) static WITHDRAW: Script = Script {
    operation: StoreOperation::Idempotency,
    text: "#!lua flags=allow-oom
local found = redis.pcall('GET', KEYS[1])
local state, owner = string.match(type(found) == 'string' and found or '', '^(%l+) (%S+) ')
if state == 'running' and owner == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 'gone'
",
};

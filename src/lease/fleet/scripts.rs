//! The scripts of the fleet's leases: a FIFO queue per entity, handed on directly.
//!
//! Keys of an entity: `holder`, a string `OWNER TOKEN` that expires with the lease; `queue`, a list of the owners that wait,
//! one per sidecar; `fence`, the counter of tokens. An owner is `SIDECAR/NUMBER/TTL/BLOCK`: who asks, its how manieth question,
//! for how many milliseconds and for how many tokens; it is unique, so every script may be sent twice. A number with a zero ahead of
//! it is an [edit's](crate::lease::Purpose::Edit): whoever does not know of that takes it for a call's, which is safe.
//!
//! A release hands the lease to the first in the queue and publishes the grant on that sidecar's channel, all in one step:
//! two commands per turn at any contention, in order. A publish that nobody received passes a dead waiter over. In a cluster
//! receivers at other nodes are not counted, and a user may be forbidden to publish: then nobody is passed over, and a grant
//! that is not confirmed soon runs out.

use crate::remote::Script;
use crate::telemetry::labels::StoreOperation;

/// What all of them share. A fence is kept for an hour after its last lease; a new one begins at the clock's microseconds,
/// which no counter reaches. A queue is kept for a minute: whoever waits comes again every second. A grant that may not have
/// been heard is given for two seconds, in which whoever waits has come again.
/// `grant` makes an owner the holder and gives its highest token; `pass_on` hands the lease to the
/// first live waiter, or to `me` when its place is reached; false when nobody waits.
macro_rules! script {
    ($flags:literal, $body:literal) => {
        concat!(
            "#!lua",
            $flags,
            "
local holder, queue, fence = KEYS[1], KEYS[2], KEYS[3]
local me, grants, cluster = ARGV[1], ARGV[2], ARGV[3] == '1'
local time = redis.call('TIME')
local micros = time[1] .. string.format('%06d', time[2])
local now = string.sub(micros, 1, -4)
local held = redis.call('GET', holder)
local owner, token = nil, nil
if held then owner, token = string.match(held, '^(%S+) (%d+)$') end
local function tokens(count)
  redis.call('SET', fence, micros, 'NX')
  local top = redis.call('INCRBY', fence, count)
  redis.call('PEXPIRE', fence, 3600000)
  return string.format('%.0f', top)
end
local function grant(who, ttl, count)
  local top = tokens(count)
  redis.call('SET', holder, who .. ' ' .. top, 'PX', ttl)
  return top
end
local function pass_on()
  while true do
    local next = redis.call('LINDEX', queue, 0)
    if not next then return next end
    local sidecar, ttl, count = string.match(next, '^([^/]+)/%d+/(%d+)/(%d+)$')
    local top = sidecar and next ~= me and tokens(count)
    redis.call('LPOP', queue)
    if next == me then return next end
    if sidecar then
      local heard = redis.pcall('PUBLISH', grants .. sidecar, next .. ' ' .. top .. ' ' .. now .. ' ' .. ttl .. ' ' .. holder)
      local blind = cluster or type(heard) ~= 'number'
      if blind then ttl = math.min(tonumber(ttl), 2000) end
      if blind or heard > 0 then
        redis.call('SET', holder, next .. ' ' .. top, 'PX', ttl)
        return next
      end
    end
  end
end
",
            $body
        )
    };
}

/// Asks for the lease, or for the place in the queue; asked again, it keeps what it has. A holder that would stay for longer
/// than it may, as somebody wrote it by hand or set the clock back, is cut to a lease's time.
///
/// Keys: holder, queue, fence, and outside of a cluster the epoch. Arguments: owner, prefix of the grants' channels, `1` in a
/// cluster, TTL in milliseconds, tokens, the epoch as known.
/// Answer: the store's time in milliseconds, then `granted`, highest token, TTL; or `queued`, milliseconds until the present
/// lease runs out; or `replaced`: the store is another one.
pub(super) static ACQUIRE: Script = Script {
    operation: StoreOperation::LeaseAcquire,
    text: script!(
        "",
        "
local ttl, count = ARGV[4], ARGV[5]
if KEYS[4] and redis.call('GET', KEYS[4]) ~= ARGV[6] then return {now, 'replaced'} end
if owner == me then
  redis.call('PEXPIRE', holder, ttl)
  return {now, 'granted', token, ttl}
end
if not held then
  local next = pass_on()
  if not next or next == me then return {now, 'granted', grant(me, ttl, count), ttl} end
end
if not redis.call('LPOS', queue, me) then redis.call('RPUSH', queue, me) end
redis.call('PEXPIRE', queue, 60000)
local left, most = redis.call('PTTL', holder), ttl
if owner then most = string.match(owner, '^[^/]+/%d+/(%d+)/') or ttl end
if left == -1 or left > tonumber(most) then
  left = tonumber(most)
  redis.call('PEXPIRE', holder, most)
end
return {now, 'queued', tostring(left)}
"
    ),
};

/// Gives the lease back, to whoever is next.
///
/// Keys: holder, queue, fence. Arguments: owner, prefix of the grants' channels, `1` in a cluster.
/// Answer: `free`, `passed`, or `gone` where it was not held any more.
pub(super) static RELEASE: Script = Script {
    operation: StoreOperation::LeaseRelease,
    text: script!(
        " flags=allow-oom",
        "
if owner ~= me then return 'gone' end
if pass_on() then return 'passed' end
redis.call('DEL', holder)
return 'free'
"
    ),
};

/// Leaves the entity alone for a time: a write may still land.
///
/// Keys and first arguments: as of [`RELEASE`]; then the time in milliseconds. Answer: `kept` or `gone`.
pub(super) static KEEP: Script = Script {
    operation: StoreOperation::LeaseKeep,
    text: script!(
        " flags=allow-oom",
        "
if owner ~= me then return 'gone' end
redis.call('PEXPIRE', holder, ARGV[4])
return 'kept'
"
    ),
};

/// Leaves the queue, and gives the lease back if it was granted meanwhile.
///
/// Keys and arguments: as of [`RELEASE`]. Answer: `left`, or as of [`RELEASE`].
pub(super) static LEAVE: Script = Script {
    operation: StoreOperation::LeaseLeave,
    text: script!(
        " flags=allow-oom",
        "
redis.call('LREM', queue, 0, me)
if owner ~= me then return 'left' end
if pass_on() then return 'passed' end
redis.call('DEL', holder)
return 'free'
"
    ),
};

//! The scripts of the detector's journals.
//!
//! Keys: `marks`, a hash of a sidecar's id to `UNTIL:WRITTEN:NUMBER`, the first two in microseconds of the store's clock, the
//! third of its last command; and of an entity its `journal`, a list of entries as JSON, and its `claim`, a string
//! `OWNER TICKET LOST:RECEIPTS`. The ticket is the number of the command that made the claim, 0 once it has ended. `LOST` is how
//! many entries have gone from the front of the journal since, as it was full. The receipts, `SIDECAR TICKET` of each that has
//! settled the entity of late, the latest first, say under which ticket that was.
//!
//! A command may come twice, and late. It appends, claims and marks only if its number is larger than the last one of its
//! sidecar. What it settles it settles under the ticket, and once: the claim ends in the same step, and the receipt says so to
//! whoever comes again, also where another sidecar has claimed the entity meanwhile.

use crate::remote::Script;
use crate::telemetry::labels::StoreOperation;

/// What stands at the front of a journal that has lost entries.
pub(super) const OVERFLOW: &str = "overflow";

/// One exchange.
///
/// Keys: marks, register, epoch; then a journal and a claim an entity. Arguments: sidecar, number of the command, mark in
/// microseconds or nothing, where it stays as it is; the most entries of a journal; for how many milliseconds a journal is kept, a claim lasts, a sidecar may be
/// silent; the most bytes of entries in an answer. Then how many are settled, and for each: entity's number, ticket, entries
/// taken, entries to keep; how many are appended to, and for each: entity's number, entries; how many are claimed, and their
/// numbers. Entries are preceded by how many there are; those taken are counted from where the journal began with the claim.
///
/// Answer: the clock in microseconds, the epoch, for each settled 1 or 0, for each claimed {ticket, lost, entries} or nothing, and
/// {sidecar, until, written} of all others, those among them that have fallen silent.
pub(super) static EXCHANGE: Script = Script {
    operation: StoreOperation::Journal,
    text: "#!lua
local me, ticket = ARGV[1], ARGV[2]
local mark, most, kept_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local claim_ms, silent_ms, room = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at = 8
local function word()
  at = at + 1
  return ARGV[at]
end
local function digits(number) return string.format('%.0f', number) end

local function is_strange(key, kind)
  local found = redis.call('TYPE', key).ok
  return found ~= kind and found ~= 'none'
end
if is_strange(KEYS[1], 'hash') then redis.call('DEL', KEYS[1]) end
for i = 4, #KEYS, 2 do
  if is_strange(KEYS[i + 1], 'string') then redis.call('DEL', KEYS[i + 1]) end
  if is_strange(KEYS[i], 'list') then
    redis.call('DEL', KEYS[i])
    redis.call('RPUSH', KEYS[i], 'overflow')
  end
end

local said = redis.call('HGET', KEYS[1], me) or ''
local told, last = string.match(said, '^(%d+):%d+:(%d+)$')
local is_new = not last or tonumber(ticket) > tonumber(last)

local function keys(entity) return KEYS[2 + 2 * entity], KEYS[3 + 2 * entity] end
local function claimed(claim)
  local text = redis.call('GET', claim) or ''
  local owner, held, lost, receipts = string.match(text, '^(%S+) (%d+) (%d+):(.*)$')
  return owner, held, lost, receipts or ''
end
local function claim_is(claim, owner, held, lost, receipts, ...)
  redis.call('SET', claim, owner .. ' ' .. held .. ' ' .. lost .. ':' .. receipts, ...)
end
local function has_settled(receipts, ticket)
  for who, under in string.gmatch(receipts, '(%S+) (%d+)') do
    if who == me then return under == ticket end
  end
  return false
end
local function with_mine(receipts, ticket)
  local all = {me .. ' ' .. ticket}
  for who, under in string.gmatch(receipts, '(%S+) (%d+)') do
    if who ~= me and #all < 8 then all[#all + 1] = who .. ' ' .. under end
  end
  return table.concat(all, ' ')
end
local function push(entity, first, last)
  local journal, claim = keys(entity)
  local surplus = redis.call('LLEN', journal) + last - first + 1 - most
  if surplus > 0 then
    redis.call('LTRIM', journal, surplus + 1, -1)
    redis.call('LPUSH', journal, 'overflow')
    local owner, held, lost, receipts = claimed(claim)
    if owner then claim_is(claim, owner, held, lost + surplus, receipts, 'KEEPTTL') end
  end
  for i = first, last do redis.call('RPUSH', journal, ARGV[i]) end
  redis.call('PEXPIRE', journal, kept_ms)
end
local function entries()
  local first = at + 2
  at = at + 1 + ARGV[at + 1]
  return first, at
end

local settled = {}
for n = 1, tonumber(word()) do
  local entity, held_by_me, taken = word(), word(), word()
  local first, last = entries()
  local journal, claim = keys(entity)
  local owner, held, lost, receipts = claimed(claim)
  local mine = owner == me and held == held_by_me
  if mine then
    if taken - lost > 0 then redis.call('LTRIM', journal, taken - lost, -1) end
    if last >= first then push(entity, first, last) end
    claim_is(claim, me, '0', '0', with_mine(receipts, held), 'PX', silent_ms)
  end
  settled[n] = (mine or has_settled(receipts, held_by_me)) and 1 or 0
end

for _ = 1, tonumber(word()) do
  local entity = word()
  local first, last = entries()
  if is_new and last >= first then push(entity, first, last) end
end

local given = {}
for n = 1, tonumber(word()) do
  local journal, claim = keys(word())
  local owner, held, lost, receipts = claimed(claim)
  local free = not owner or held == '0'
  if not is_new then
    given[n] = false
  elseif not free and owner ~= me then
    local left = redis.call('PTTL', claim)
    if left == -1 or left > claim_ms then redis.call('PEXPIRE', claim, claim_ms) end
    given[n] = false
  elseif room <= 0 then
    given[n] = false
  else
    if free then
      held, lost = ticket, '0'
      claim_is(claim, me, ticket, '0', receipts, 'PX', claim_ms)
    else
      redis.call('PEXPIRE', claim, claim_ms)
    end
    local found = redis.call('LRANGE', journal, 0, -1)
    for _, entry in ipairs(found) do room = room - #entry end
    given[n] = {held, lost, found}
  end
end

if is_new then
  mark = mark or tonumber(told) or 0
  if mark > now then mark = 0 end
  redis.call('HSET', KEYS[1], me, digits(mark) .. ':' .. digits(now) .. ':' .. ticket)
  redis.call('PEXPIRE', KEYS[1], kept_ms)
end
local known, marks = {[me] = true}, {}
local function others(id, till, written)
  known[id] = true
  marks[#marks + 1] = {id, digits(till), digits(written)}
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local id = all[i]
  if id ~= me then
    local till, written = string.match(all[i + 1], '^(%d+):(%d+):%d+$')
    till, written = tonumber(till), tonumber(written)
    if not till or written > now or till > written then
      till, written = 0, now
      redis.call('HSET', KEYS[1], id, '0:' .. digits(now) .. ':0')
    elseif now - written > kept_ms * 1000 then
      redis.call('HDEL', KEYS[1], id)
      known[id] = true
    end
    if not known[id] then others(id, till, written) end
  end
end
if redis.call('TYPE', KEYS[2]).ok == 'hash' then
  for _, id in ipairs(redis.call('HKEYS', KEYS[2])) do
    local heard_ms = not known[id] and tonumber(string.match(redis.call('HGET', KEYS[2], id), '^%d+'))
    if heard_ms and heard_ms * 1000 - now <= silent_ms * 1000 then others(id, 0, math.min(heard_ms * 1000, now)) end
  end
end
local epoch = redis.pcall('GET', KEYS[3])
if type(epoch) ~= 'string' then epoch = '' end
return {digits(now), epoch, settled, given, marks}
",
};

/// Takes a sidecar's mark away. Keys: marks. Arguments: sidecar.
pub(super) static LEAVE: Script = Script {
    operation: StoreOperation::Journal,
    text: "#!lua flags=allow-oom
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
",
};

//! The scripts that read and edit a document, each in one step.
//!
//! Keys: the document; of its entity's lease `holder` and `fence`, as `lease/fleet/scripts.rs` has them; the update's receipt, a
//! string; and outside of a cluster the epoch. They are run without flags, so that a server refuses a read where it would refuse
//! the edit: as a replica, out of memory, without enough replicas.
//!
//! A document keeps the time at which it expires. One that expired is missing: an edit of it does not bring it back. Within a
//! script nothing expires.

use crate::remote::Script;
use crate::telemetry::labels::StoreOperation;

/// What both share. The receipt counts before all else: with it the update is done, whatever came after. `seen` changes with
/// every lease that was granted, and with who has it. A holder that no script wrote is one of whom nothing is known. `caller` is a
/// holder beside whom nobody may write: any but an edit's.
/// `look` tells of the document, and its size before all of it is read.
macro_rules! script {
    ($done:literal, $body:literal) => {
        concat!(
            "#!lua
local document, holder, fence, receipt, epoch = unpack(KEYS)
local limit = tonumber(ARGV[2])
local done = redis.call('GET', receipt)
if done then return {'",
            $done,
            "', done} end
if epoch and redis.call('GET', epoch) ~= ARGV[1] then return {'replaced'} end
local held = redis.call('GET', holder)
local owner = held and (string.match(held, '^(%S+) %d+$') or '?') or ''
local time = redis.call('TIME')
local now = string.sub(time[1] .. string.format('%06d', time[2]), 1, -4)
local seen = (redis.call('GET', fence) or '') .. ' ' .. owner
local edits = string.find(owner, '^[^/]+/0%d+/')
local caller = edits and '' or owner
local function look()
  local kind = redis.call('TYPE', document).ok
  if kind == 'none' then return {'missing', caller} end
  if kind ~= 'string' then return {'wrong_type'} end
  if redis.call('STRLEN', document) > limit then return {'too_large'} end
  return {'document', caller, seen, now, redis.call('GET', document)}
end
",
            $body
        )
    };
}

/// Reads a document, and how its entity stands.
///
/// Arguments: the epoch as known, the largest size in bytes. Answer: `done` and the receipt; `replaced`; `missing` and the
/// lease's owner, empty if edits may be made beside it; `wrong_type`; `too_large`; or `document`, the owner, the fence, the store's time in
/// milliseconds, the document.
pub(super) static READ: Script =
    Script { operation: StoreOperation::DocumentRead, text: script!("done", "return look()\n") };

/// Makes an edit if its receipt is not there, and if all is as it was read.
///
/// Arguments: the epoch as known, the largest size in bytes, the owner under whose lease it is made or nothing, the fence as read,
/// the receipt, for how many milliseconds it is kept, the store's time from which on it is late; then for each splice six: `E`, `P` or
/// `S`; nothing, or `t`, `n` or `b` for a text, a number or a truth value that may be another one of its kind unless it is late; what is
/// ahead of the old bytes, these, what is behind them, the new bytes. All places are found in the document as it is; of splices of
/// nothing at one place the first stays first.
///
/// A value ends where it does in well-formed JSON, for what is ahead of it begins and ends between two of its words. A late edit may
/// have been given up, and others of the field made since; so it is made on the value that it was planned on, or not at all.
/// Answer: `already` and the receipt; `replaced`; `held`; `changed` and the answer of [`READ`]; `too_large`; `applied`.
///
/// Nothing can fail after the first write but for a user that may not write receipts, and then that is taken back: an error always
/// means that nothing was written.
pub(super) static EDIT: Script = Script {
    operation: StoreOperation::DocumentEdit,
    text: script!(
        "already",
        "
local me, text, keep = ARGV[3], ARGV[5], ARGV[6]
if held and not edits and (me == '' or owner ~= me) then return {'held'} end
local present = look()
local function changed()
  table.insert(present, 1, 'changed')
  return present
end
if present[1] ~= 'document' or seen ~= ARGV[4] then return changed() end
local before = present[5]
local first = {t = '^\"', n = '^[%-0-9]', b = '^[tf]'}
local function value_end(kind, at)
  if not string.find(before, first[kind], at) then return nil end
  if kind ~= 't' then return select(2, string.find(before, '^[0-9A-Za-z.+%-]+', at)) end
  local to = at - 1
  repeat
    to = string.find(before, '[\"\\\\]', to + 2)
  until not to or string.sub(before, to, to) == '\"'
  return to
end
local function find_value(anchor, kind, head, tail)
  local near, place = string.sub(tail, 1, 64), nil
  local at = head ~= '' and string.find(before, head, 1, true)
  while at and (anchor ~= 'P' or at == 1) do
    local ends = value_end(kind, at + #head)
    local to = ends and ends + #tail
    if to and (anchor ~= 'S' or to == #before)
      and string.sub(before, ends + 1, ends + #near) == near and string.sub(before, ends + 1, to) == tail then
      if place then return nil end
      place = {at, to}
    end
    at = string.find(before, head, at + 1, true)
  end
  if place then return unpack(place) end
end
local function find(anchor, old)
  if anchor == 'P' then
    if string.sub(before, 1, #old) == old then return 1, #old end
  elseif anchor == 'S' then
    local from = #before - #old + 1
    if from > 0 and string.sub(before, from) == old then return from, #before end
  elseif old ~= '' then
    local from, to = string.find(before, old, 1, true)
    if from and not string.find(before, old, from + 1, true) then return from, to end
  end
end
local splices = {}
local in_time = tonumber(now) < tonumber(ARGV[7])
for at = 8, #ARGV, 6 do
  local anchor, kind, head, old, tail, new = unpack(ARGV, at, at + 5)
  local from, to
  if kind ~= '' and in_time then
    from, to = find_value(anchor, kind, head, tail)
  else
    from, to = find(anchor, head .. old .. tail)
  end
  if not from then return changed() end
  table.insert(splices, {from, to, head .. new .. tail, at})
end
table.sort(splices, function(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  if a[2] ~= b[2] then return a[2] < b[2] end
  return a[4] < b[4]
end)
local parts, at = {}, 1
for _, splice in ipairs(splices) do
  local from, to, new = unpack(splice)
  if from < at then return changed() end
  table.insert(parts, string.sub(before, at, from - 1))
  table.insert(parts, new)
  at = to + 1
end
table.insert(parts, string.sub(before, at))
local after = table.concat(parts)
if #after > limit then return {'too_large'} end
redis.call('SET', document, after, 'KEEPTTL')
local kept = redis.pcall('SET', receipt, text, 'PX', keep)
if kept.err then
  redis.call('SET', document, before, 'KEEPTTL')
  return kept
end
return {'applied'}
"
    ),
};

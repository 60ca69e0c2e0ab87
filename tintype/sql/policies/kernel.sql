-- The private schema: the kernel's role may call the verbs of this list and read for operators.
-- Everything else, and everybody else, is denied.
revoke all on schema tintype from public;
revoke all on all tables in schema tintype from public;
revoke all on all tables in schema tintype from anon, authenticated, service_role;
revoke all on all sequences in schema tintype from public, anon, authenticated, service_role;
revoke all on all functions in schema tintype from public, anon, authenticated, service_role;

grant usage on schema tintype to service_role;
grant select on
tintype.queues, tintype.ready, tintype.delayed, tintype.leases, tintype.provider_pauses,
tintype.migrations, tintype.leftovers, tintype.checkpoints, tintype.removals
to service_role;
grant usage on sequence tintype.change_seq to service_role;
grant insert, update, delete on tintype.provider_pauses to service_role;
grant update, delete on tintype.leftovers to service_role;

grant execute on function
tintype.clock(),
tintype.open_account(uuid, bigint),
tintype.grant_credits(uuid, bigint, text, text),
tintype.set_premium(uuid, boolean),
tintype.submit(json),
tintype.stored_answer(uuid, text, text),
tintype.claim(uuid, text, text, integer, integer),
tintype.renew(text, uuid[], integer),
tintype.report(uuid[], integer[], smallint[]),
tintype.deliver(uuid, integer, jsonb),
tintype.close_leases(uuid[]),
tintype.prune(integer),
tintype.settle_complete(uuid[], integer[], text[], text[], uuid[]),
tintype.settle_fail(uuid, integer, text, text, double precision, boolean, jsonb),
tintype.settle_cancel(uuid, uuid, text),
tintype.settle_rescue(integer),
tintype.settle_expired(integer),
tintype.forward(uuid, integer, text, jsonb),
tintype.grant_file(uuid, integer),
tintype.report_training(uuid, integer, jsonb),
tintype.record_adapter(uuid, integer, jsonb),
tintype.record_training_images(uuid, integer, text[], jsonb),
tintype.note_published(uuid, integer, text, text),
tintype.plan_removal(uuid, uuid, text, text, jsonb, integer),
tintype.removal_of_model(bigint),
tintype.claim_removals(integer, integer),
tintype.hold_removals(uuid[], integer),
tintype.end_removal(uuid, jsonb, text, integer),
tintype.erase_rows(uuid[], uuid, integer)
to service_role;
